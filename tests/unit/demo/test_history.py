# SPDX-License-Identifier: AGPL-3.0-or-later
"""The past of a demo: the same for the same seed, believed whole by the server, and what its workers hold fits to it."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter

from z4j.wire import records
from z4j.wire.batches import decode_records
from z4j_agent.capture.originals import open_original
from z4j_agent.settings import SealKey
from z4j_demo import present
from z4j_demo.brief import Brief
from z4j_demo.capabilities import of_engine
from z4j_demo.history import moments, seal_key, write_history
from z4j_demo.recorded_scheduler import SCHEDULERS, due_before, next_of
from z4j_demo.story import APPS, BAD, DAY, FAILURES, HOUR, KINDS, VERSIONS, WORKERS

NOW = 1_795_000_000_000_000
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
BRIEF = Brief(NOW, 7, 3_000, 29, dict.fromkeys(APPS, f"z4j+ws://z4a_x.{KEY}@127.0.0.1:7700"))


def written(brief: Brief) -> bytes:
    out = io.BytesIO()
    write_history(brief, out)
    return out.getvalue()


def batches(data: bytes) -> list[tuple[str, int, bytes]]:
    pipe, found = io.BytesIO(data), []
    while head := pipe.readline():
        app, at, size = head.decode().split()
        found.append((app, int(at), pipe.read(int(size))))
    return found


def test_the_story_is_as_large_as_promised() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) == 40
    assert {kind.app for kind in KINDS} == set(APPS)
    assert {kind.engine for kind in KINDS} == {*VERSIONS, "huey"}
    assert {worker.environment for worker in WORKERS} == {"production", "staging"}
    assert len({failure.type for failure in FAILURES}) == 6
    assert {scheduler.scheduler for scheduler in SCHEDULERS} == {"celery_beat", "rq_scheduler", "rq_cron", "taskiq_scheduler", "arq_cron"}


def test_the_same_seed_gives_the_same_past() -> None:
    masks = re.compile(rb'"3[^"]{20,}"')  # sealed originals have a fresh nonce
    assert masks.sub(b"", written(BRIEF)) == masks.sub(b"", written(BRIEF))
    other = Brief(NOW, 8, BRIEF.tasks, BRIEF.days, BRIEF.connections)
    assert written(other) != written(BRIEF)


def test_the_server_refuses_none_of_its_records() -> None:
    refused: dict[str, int] = {}
    kinds: Counter[str] = Counter()
    releases, ids = set(), set()
    for _, at, payload in batches(written(BRIEF)):
        for record in decode_records(payload, at, refused):
            if isinstance(record, records.Origin):
                releases.add(record.facts.release)
            elif isinstance(record, records.TaskRecord):
                kinds[record.kind] += 1
                ids.add(record.task_id)
                assert record.at <= NOW, record
                assert record == records.redacted(record), "it is redacted already"
    assert refused == {}
    assert len(ids) > 2_900
    assert kinds["enqueued"] == kinds["payload"] == len(ids)
    assert kinds["failed"] > 20
    assert releases == {"2026.11.2", BAD}


def test_charges_of_the_bad_release_fail_by_night_too() -> None:
    for hour in (5, 23):
        brief = Brief(NOW // DAY * DAY + hour * HOUR, 7, 1_000, BRIEF.days, BRIEF.connections)
        assert written(brief).count(b'"TypeError"') >= 6


def test_failed_huey_tasks_can_be_enqueued_again() -> None:
    """Their originals are authenticated with the key of the app, as the real agent checks."""
    key = seal_key(BRIEF.connections["warehouse"])
    assert isinstance(key, SealKey)
    found = 0
    for app, at, payload in batches(written(BRIEF)):
        if app != "warehouse":
            continue
        for record in decode_records(payload, at, {}):
            if isinstance(record, records.Payload) and record.engine == "huey" and record.original is not None:
                opened = open_original(record.original[1], "huey", record.task_id, "production", key_id=key.key_id, keys=(key,))
                assert opened.binding is not None
                assert (opened.binding.name, opened.binding.queue) == (record.name, "warehouse")
                found += 1
    assert found > 10


def test_tasks_are_spread_over_the_month() -> None:
    import random

    times = moments(random.Random(1), BRIEF)
    assert len(times) == BRIEF.tasks
    assert times == sorted(times)
    assert NOW - 29 * DAY <= times[0] < NOW - 27 * DAY
    assert len({at // DAY for at in times}) >= 29
    assert sum(at > NOW - 3 * HOUR for at in times) >= BRIEF.tasks // 8


def test_workers_hold_what_was_reported_of_them() -> None:
    held = present.held_now(BRIEF)
    assert held == present.held_now(BRIEF)
    assert {each.state for each in held} == {"running", "queued", "scheduled", "retrying"}
    assert {each.life.kind.engine for each in held} == set(VERSIONS)
    past = written(BRIEF)
    assert all(each.life.task_id.encode() in past for each in held)


def test_due_times_of_recorded_schedules() -> None:
    minutes = {"kind": "interval", "expression": "300", "timezone": ""}
    assert due_before(minutes, NOW, 3) == [NOW - NOW % 300_000_000 - back for back in (600_000_000, 300_000_000, 0)]
    nightly = {"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}
    assert len(due_before(nightly, NOW, 99)) == 26
    assert next_of({"kind": "other", "expression": "", "timezone": ""}, NOW) is None


def test_a_recorded_engine_offers_what_its_adapter_offers() -> None:
    assert {action for _, action, *_ in of_engine("celery")} >= {"resize_worker", "limit_name", "release_task", "inspect_task"}
    assert "release_task" not in {action for _, action, *_ in of_engine("taskiq")}
    assert "resize_worker" not in {action for _, action, *_ in of_engine("rq")}
