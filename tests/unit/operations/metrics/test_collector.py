# SPDX-License-Identifier: AGPL-3.0-or-later
"""Figures of the server itself, of queues, agents and schedules. /metrics as a whole: tests.unit.web.pages.monitoring.test_metrics.py."""

from __future__ import annotations

from pathlib import Path

from tests.support.database import SECOND
from tests.unit.web.pages.conftest import Shop
from tests.unit.web.pages.monitoring.test_metrics import scrape, value
from z4j import clock
from z4j.operations.metrics.collector import Scrape, safe
from z4j.store.backups.backup_results import folder_of
from z4j.store.fleet import queues


def test_queues_are_reported_by_broker(shop: Shop) -> None:
    at = clock.now()
    reported = [("celery", "work", f"redis://h:6379/{number}", 7 + number, 2, at - 60 * SECOND, 1, 3) for number in range(2)]
    shop.write(lambda db: queues.record(db, 1, 0, reported, at))
    text = scrape(shop)
    assert value(text, "z4j_queue_depth", queue="work", broker="redis://h:6379/1") == 8
    assert value(text, "z4j_queue_dead_tasks", queue="work", broker="redis://h:6379/0") == 3
    assert 60 <= value(text, "z4j_queue_oldest_age_seconds", queue="work", broker="redis://h:6379/0") < 90


def test_a_duty_that_fails_and_an_altered_log(shop: Shop) -> None:
    text = scrape(shop)
    assert value(text, "z4j_duty_failing") == 0
    assert value(text, "z4j_audit_altered") == 0
    assert value(text, "z4j_agents_connected", app="shop", role="worker") == 1
    shop.server.duties.add("of the test", 3_600).failed(OSError("no"))
    shop.server.audit.raise_alarm(1, "of the test")
    text = scrape(shop)
    assert value(text, "z4j_duty_failing", duty="of the test") == 1
    assert value(text, "z4j_audit_altered") == 1


def test_a_damaged_list_of_backups_leaves_the_rest(shop: Shop, tmp_path: Path) -> None:
    folder_of(tmp_path).mkdir(exist_ok=True)
    (folder_of(tmp_path) / "results.json").write_text("{")
    text = scrape(shop)
    assert not any(line.startswith("z4j_backup_last_success_timestamp_seconds ") for line in text.splitlines())
    assert value(text, "z4j_database_bytes") > 0


def test_equal_label_sets_add_up() -> None:
    made = Scrape()
    made.put("z4j_findings", 1, "disk", "bad")
    made.put("z4j_findings", 2, "disk", "bad")
    assert made.values == {"z4j_findings": {("disk", "bad"): 3}}
    assert safe(("a" * 500, "password=hunter2hunter2"))[0].endswith("…")
    assert "hunter2" not in safe(("password=hunter2hunter2",))[0]
