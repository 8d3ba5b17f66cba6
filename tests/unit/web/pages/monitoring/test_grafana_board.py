# SPDX-License-Identifier: AGPL-3.0-or-later
"""The Grafana board: every metric and label of its expressions exists in a real scrape, and every expression gives a value there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, life, task
from tests.support.promql import Scrapes, evaluate, selectors
from tests.unit.operations.alerts.examples import EMAILS
from tests.unit.web.pages.alerts.conftest import fire
from tests.unit.web.pages.conftest import Shop
from tests.unit.web.pages.monitoring.test_metrics import samples, scrape, value
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


@pytest.fixture
def scrapes(shop: Shop, tmp_path: Path) -> Scrapes:
    """Two scrapes, a minute apart, of a server with tasks, queues, schedules, a finding, a certificate and a backup."""
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

    work(0)
    before = list(samples(scrape(shop)).values())
    work(100)
    return Scrapes(list(samples(scrape(shop)).values()), before, 60.0, clock.now() / 1e6)


def test_metrics_and_labels_of_the_board_exist(scrapes: Scrapes) -> None:
    names = {sample.name: set(sample.labels) for sample in scrapes.now}
    for expression in EXPRESSIONS:
        found = selectors(expression)
        assert found, expression
        for name, labels in found:
            metric = BY_NAME[name.removesuffix("_bucket")]
            assert set(labels) <= {*metric.labels, *({"le"} if name.endswith("_bucket") else ())}, expression
            assert set(labels) <= names[name], expression


def test_every_expression_gives_a_value(scrapes: Scrapes) -> None:
    for expression in EXPRESSIONS:
        found = evaluate(plain(expression), scrapes)
        assert isinstance(found, dict)
        assert found, expression
        assert any(math.isfinite(each) and each >= 0 for each in found.values()), (expression, found)


def test_values_are_right(scrapes: Scrapes) -> None:
    def only(part: str) -> float:
        [expression] = [each for each in EXPRESSIONS if each == part]
        found = evaluate(plain(expression), scrapes)
        assert isinstance(found, dict)
        [number] = found.values()
        return number

    scope = 'app=~"$app",environment=~"$environment"'
    ended = f"z4j_tasks_ended_total{{{scope}}}[$__rate_interval]"
    assert only(f"sum(rate({ended}))") == pytest.approx(4 / 60)
    failed = f'z4j_tasks_ended_total{{{scope},state="failed"}}[$__rate_interval]'
    assert only(f"sum(rate({failed})) / sum(rate({ended}))") == pytest.approx(0.5)
    assert only("time() - z4j_backup_last_success_timestamp_seconds") == pytest.approx(3_600, abs=2)
    assert 300 * 86_400 < only("z4j_certificate_expiry_timestamp_seconds - time()") < 900 * 86_400


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
