# SPDX-License-Identifier: AGPL-3.0-or-later
"""The Grafana board: a real Prometheus scrapes the metrics and answers every expression. Its metrics and labels are those of the table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, life, task
from tests.support.prometheus import Prometheus, is_number, prometheus, served
from tests.unit.operations.alerts.examples import EMAILS
from tests.unit.web.pages.alerts.conftest import fire
from tests.unit.web.pages.conftest import Shop
from tests.unit.web.pages.monitoring.test_metrics import scrape, value
from z4j import clock
from z4j.listener.tls import ServerTls
from z4j.operations.schedule_request import ScheduleRequest
from z4j.rules.metrics.definitions import BY_NAME, METRICS
from z4j.settings import Settings
from z4j.store.backups.backup_results import BackupResult, BackupResults, folder_of, write_results
from z4j.store.fleet import queues
from z4j.web.auth.authentication import Identity

BOARD = json.loads((Path(__file__).resolve().parents[5] / "docs/deploy/grafana.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})


def plain(expression: str) -> str:
    """With the variables as Grafana fills them in for “All”."""
    return expression.replace("$app", ".*").replace("$environment", ".*").replace("$__rate_interval", "1m")


def selectors(expression: str) -> list[tuple[str, list[str]]]:
    """Returns the metrics of an expression with the labels that it selects or groups by."""
    found = [
        (match[1], re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match[2] or "")) for match in re.finditer(r"\b(z4j_\w+)(\{[^}]*\})?", expression)
    ]
    by = [label.strip() for match in re.finditer(r"\bby \(([^)]*)\)", expression) for label in match[1].split(",")]
    return [(name, labels + [label for label in by if label != "le" or name.endswith("_bucket")]) for name, labels in found]


@pytest.fixture
def scraped(shop: Shop, tmp_path: Path) -> Iterator[Prometheus]:
    """Scrapes of a server with tasks, queues, schedules, a finding, a certificate and a backup, some of them before its last tasks."""
    server, at = shop.server, clock.now()
    server.metrics.server.tls = ServerTls(Settings(data=tmp_path, tls="auto"), at)
    folder_of(tmp_path).mkdir(exist_ok=True)
    (folder_of(tmp_path) / "z4j-1.db").write_bytes(b"")
    write_results(tmp_path, BackupResults(at, (BackupResult(at - 3_600 * SECOND, "z4j-1.db", 1),)))
    assert shop.post("/alerts/channels", name="hook", kind="webhook", url="https://hooks.example/x").status_code == 303
    assert shop.post("/alerts/rules/new", name="all", severity="critical", **{"channel:1": "yes"}, cooldown_s="0").status_code == 303
    fire(shop, EMAILS)
    server.findings.current = (EMAILS,)
    made = ScheduleRequest("shop", "production", "z4j", "celery", "nightly", "cron", "0 3 * * *", "UTC", "shop.ship")
    shop.call(server.schedules.create, Identity("ada", "admin", "session"), made)
    reported = [("celery", "work", "redis://h:6379/0", 7, 2, at - 60 * SECOND, 1, 3)]
    shop.write(lambda db: queues.record(db, 1, 0, reported, at))
    server.gateway.totals.add(1, 1_000, 10, {"bad": 1}, at - SECOND, at)
    assert shop.post("/settings/forwarding", name="file", kind="json", url="file:audit", audit="yes", beginning="yes").status_code == 303
    for step in (server.forwarder.round, lambda _: server.forwarder.settle()):
        shop.call(step, clock.now())

    def work(first: int) -> None:
        for number in range(first, first + 4):
            again = task("started", f"again-{number}", T + 70 * SECOND, attempt=1, name="shop.ship", queue="work")
            end = "failed" if number % 2 else "succeeded"
            shop.tell(*life(f"r{number}", T + number * SECOND, end, name="shop.ship", queue="work"), again)
        server.gateway.totals.add(1, 1_000, 10, {"bad": 1}, at - SECOND, at)

    def read(accept: str) -> tuple[str, str]:
        server.store.memo.clear()
        answer = shop.get("/metrics", Accept=accept)
        assert answer.status_code == 200
        return answer.headers["content-type"], answer.text

    work(0)
    with served(read) as address, prometheus(tmp_path / "prometheus", address) as running:
        running.wait_for_scrapes(2)
        work(100)
        running.wait_for_scrapes(2)
        yield running


def test_metrics_and_labels_of_the_board_exist() -> None:
    for expression in EXPRESSIONS:
        found = selectors(expression)
        assert found, expression
        for name, labels in found:
            metric = BY_NAME[name.removesuffix("_bucket")]
            assert set(labels) <= {*metric.labels, *({"le"} if name.endswith("_bucket") else ())}, expression


def test_prometheus_answers_every_expression_with_the_right_values(shop: Shop, scraped: Prometheus) -> None:
    [target] = scraped.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    for expression in EXPRESSIONS:
        found = scraped.query(plain(expression))
        assert found, expression
        assert any(map(is_number, found.values())), (expression, found)
    scope = 'app=~"$app",environment=~"$environment"'
    ended = f"z4j_tasks_ended_total{{{scope}}}[$__rate_interval]"
    failed = f'z4j_tasks_ended_total{{{scope},state="failed"}}[$__rate_interval]'
    assert _only(scraped, f"sum(rate({failed})) / sum(rate({ended}))") == pytest.approx(0.5)
    assert _only(scraped, "time() - z4j_backup_last_success_timestamp_seconds") == pytest.approx(3_600, abs=60)
    assert 300 * 86_400 < _only(scraped, "z4j_certificate_expiry_timestamp_seconds - time()") < 900 * 86_400
    assert sum(scraped.query("z4j_tasks_ended_total").values()) == value(scrape(shop), "z4j_tasks_ended_total")
    [series, *_] = scraped.ask("query_exemplars", query="z4j_task_runtime_seconds_bucket", start="0", end=f"{clock.now() / 1e6 + 60}")
    assert {"task_id", "id"} <= set(series["exemplars"][0]["labels"])


def _only(scraped: Prometheus, part: str) -> float:
    """The value of an expression of the board."""
    [expression] = [each for each in EXPRESSIONS if each == part]
    [number] = scraped.query(plain(expression)).values()
    return number


def test_the_board_names_each_metric_and_is_well_formed(shop: Shop) -> None:
    shown = {name.removesuffix("_bucket") for expression in EXPRESSIONS for name, _ in selectors(expression)}
    assert {metric.name for metric in METRICS} - shown <= {
        "z4j_build_info", "z4j_start_time_seconds", "z4j_ingest_batches_total", "z4j_ingest_bytes_total", "z4j_metrics_hidden_label_sets",
    }  # fmt: skip
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    served = shop.get("/docs/grafana.json")
    assert served.json() == BOARD
    assert value(scrape(shop), "z4j_build_info") == 1
