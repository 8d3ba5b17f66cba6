# SPDX-License-Identifier: AGPL-3.0-or-later
"""/metrics: read by prometheus-client's own parsers in both formats, bounded, and only by those who may."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from prometheus_client.samples import Sample
from starlette.testclient import TestClient

from tests.support.database import SECOND, T, life
from tests.support.site import site
from tests.unit.web.pages.conftest import Shop
from z4j.rules.metrics.definitions import METRICS
from z4j.settings import Settings
from z4j.web.pages.settings.connection_strings import make_api_token

OPEN = "application/openmetrics-text; version=1.0.0"


def scrape(shop: Shop, accept: str = "text/plain") -> str:
    shop.server.store.memo.clear()
    answer = shop.get("/metrics", Accept=accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/openmetrics-text" if accept == OPEN else "text/plain; version=0.0.4")
    return answer.text


def samples(text: str, *, is_open: bool = False) -> dict[tuple[str, tuple[tuple[str, str], ...]], Sample]:
    families = (parse_openmetrics if is_open else parse_plain)(text)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"twice: {key}"
            found[key] = sample
    return found


def value(text: str, name: str, **labels: str) -> float:
    return sum(
        each.value for (known, of), each in samples(text).items() if known == name and labels.items() <= dict(of).items()
    )  # fmt: skip


def test_both_formats_hold_the_metrics_of_the_table(shop: Shop) -> None:
    shop.join()
    shop.tell(*life("t1", T, name="shop.ship", queue="work"))
    for is_open in (False, True):
        found = samples(scrape(shop, OPEN if is_open else "text/plain"), is_open=is_open)
        assert found
        known = {metric.name: metric for metric in METRICS}
        for (name, labels), _ in found.items():
            base = name if name in known else name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            assert base in known, name
            extra = {"le"} if name.endswith("_bucket") else set()
            assert {label for label, _ in labels} == {*known[base].labels, *extra}, name


def test_counters_rise_with_what_happens(shop: Shop) -> None:
    before = scrape(shop)
    shop.tell(*life("t-1", T + 50 * SECOND, name="shop.ship", queue="work"), *life("t-2", T, "failed", name="shop.ship", queue="work"))
    after = scrape(shop)

    def rise(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    where = {"app": "shop", "environment": "production", "engine": "celery", "queue": "work", "task": "shop.ship"}
    assert rise("z4j_tasks_enqueued_total", **where) == 2
    assert rise("z4j_tasks_ended_total", **where, state="failed") == 1
    assert rise("z4j_tasks_ended_total", **where, state="succeeded") == 1
    assert rise("z4j_tasks", **where, state="failed") == 1
    assert rise("z4j_task_runtime_seconds_count", task="shop.ship") == 2
    assert rise("z4j_task_wait_seconds_count", queue="work") == 2
    shop.tell(*life("t-1", T + 50 * SECOND, name="shop.ship", queue="work"))
    assert value(scrape(shop), "z4j_tasks_ended_total", **where) == value(after, "z4j_tasks_ended_total", **where), "a copy is no event"


def test_exemplars_name_a_task_of_their_bucket(shop: Shop) -> None:
    shop.tell(*life("the-example", T + 60 * SECOND, name="shop.example", queue="work"))
    found = samples(scrape(shop, OPEN), is_open=True)
    examples = [
        (float(dict(labels)["le"]), sample.exemplar)
        for (name, labels), sample in found.items()
        if name == "z4j_task_runtime_seconds_bucket" and ("task", "shop.example") in labels and sample.exemplar
    ]
    [(bound, exemplar)] = examples
    assert exemplar.labels["task_id"] == "the-example"
    assert shop.get(f"/tasks/{exemplar.labels['id']}").status_code == 200
    assert exemplar.value <= bound
    assert exemplar.timestamp is not None
    assert float(exemplar.timestamp) == (T + 63 * SECOND) / 1e6, "when it ended"
    assert "# {" not in scrape(shop), "the plain format has none"


def test_hostile_names_are_labels_and_nothing_else(shop: Shop) -> None:
    evil = 'x"} 1\nz4j_tasks{app="forged\\'
    shop.tell(*life("evil", T, name=evil, queue="password=hunter2hunter2"))
    text = scrape(shop)
    assert not [line for line in text.splitlines() if line.startswith('z4j_tasks{app="forged')]
    assert any(dict(labels).get("task") == evil for _, labels in samples(text))
    assert "hunter2" not in text


def test_label_sets_are_bounded(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, metrics_series=4, days_kept=36_500)
    with site(tmp_path, settings) as opened:
        shop = Shop(opened.server, opened.client)
        shop.add_user()
        shop.sign_in()
        shop.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('shop', 1)") and None)
        shop.tell(*(record for n in range(20) for record in life(f"t{n}", T + n * SECOND, name=f"name-{n}", queue=f"q{n}")))
        text = scrape(shop)
        assert len({labels for (name, labels) in samples(text) if name == "z4j_tasks_enqueued_total"}) == 5
        assert value(text, "z4j_tasks_enqueued_total") == 20
        assert value(text, "z4j_tasks_enqueued_total", task="others", queue="others") == 16
        assert value(text, "z4j_task_runtime_seconds_count") == 20
        assert value(text, "z4j_metrics_hidden_label_sets") >= 16


def test_who_may_read(shop: Shop) -> None:
    shop.forget()
    assert shop.get("/metrics", Accept="text/plain").status_code == 401, "not on loopback"
    assert shop.get("/metrics").headers["location"].startswith("/login")
    _, token = shop.call(make_api_token, shop.server.store, "prometheus", "metrics", None, "ada")
    bearer = {"Authorization": f"Bearer {token}", "Accept": "text/plain"}
    assert shop.get("/metrics", **bearer).status_code == 200
    assert shop.get("/tasks.json", **bearer).status_code == 403, "a token for metrics reads nothing else"
    local = TestClient(shop.server.asgi, base_url="http://127.0.0.1:7700", client=("127.0.0.1", 4711))
    assert local.get("/metrics").status_code == 200
    assert local.get("/metrics", headers={"Host": "z4j.evil.example"}).status_code == 401, "a name that was bound to this host"
    assert local.get("/metrics", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 401
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"):
        assert local.get("/metrics", headers={header: "10.0.0.1"}).status_code == 401, "a proxy on this host passes strangers on"
    assert local.get("/tasks.json").status_code == 401, "nothing else is open"


@pytest.mark.parametrize(("metrics", "status"), [("token", 401), ("off", 401)])
def test_loopback_needs_a_token_where_that_is_asked(tmp_path: Path, metrics: str, status: int) -> None:
    with site(tmp_path, Settings(data=tmp_path, metrics=metrics)) as opened:
        local = TestClient(opened.server.asgi, base_url="http://127.0.0.1:7700", client=("127.0.0.1", 4711))
        assert local.get("/metrics").status_code == status
        opened.add_user()
        opened.sign_in()
        assert opened.get("/metrics", Accept="text/plain").status_code == (404 if metrics == "off" else 200)
