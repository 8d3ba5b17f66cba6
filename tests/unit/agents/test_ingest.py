# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.contents import connect, contents, recount, recount_rollups
from tests.support.database import SECOND, T, database, life, origin, task, tell
from tests.unit.agents.test_command_results import add_command
from z4j import clock
from z4j.agents.ingest import SLICE, ServerFact, ingest_batch, ingest_facts
from z4j.rules.tasks.fold import Event
from z4j.store.fleet import gaps
from z4j.store.tasks import attempts, task_columns, task_writer
from z4j.store.tasks.originals import get_original
from z4j.store.tasks.tasks import TaskFilter, get_task, list_tasks
from z4j_agent import wire

pytestmark = pytest.mark.anyio
UUID = "2f5a8f0e-8a4f-4c8e-9a35-3f4fd7b1c001"


async def test_a_task_from_enqueued_to_succeeded(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        payload = task("payload", UUID, T + 1, 2, '["•••"]', True, ["k1", "AgE="], "sealed")
        found = await tell(store, origin(), *life(UUID, T), payload)
        assert found.topics == {"tasks", "queues", "strip"}
        assert (found.tasks, found.refused, found.answers) == (1, {}, [])
        detail = await get_task(store, 1)
        assert detail is not None
        row = detail.row
        assert (row.app, row.environment, row.engine, row.task_id) == ("shop", "production", "celery", UUID)
        assert (row.name, row.queue, row.worker, row.release) == ("shop.ship", "work", "w1", "1.0")
        assert (row.state, row.attempt, row.args, row.result) == ("succeeded", 0, '["•••"]', "ok")
        assert (row.first_at, row.enqueued_at, row.received_at, row.started_at) == (T, T, T + SECOND, T + 2 * SECOND)
        assert (row.ended_at, row.last_at, row.waited_us, row.runtime_us) == (T + 3 * SECOND, T + 3 * SECOND, 2 * SECOND, 900_000)
        assert (detail.original_state, detail.masked) == ("sealed", True)
        assert await get_original(store, 1) == (b"\x02\x01", "k1", None, "")
        assert [(run.attempt, run.run, run.state, run.host) for run in detail.runs] == [(0, "b00t.7", "succeeded", "h1")]
        assert await attempts.list_runs(store, 1) == []


async def test_the_same_batch_again_changes_nothing(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        records = [origin(), *life(UUID, T), *life("b", T, "failed"), task("payload", UUID, T, 1, "[]", False, [None, "AA=="], "plain")]
        await tell(store, *records)
        db = connect(store.path)
        before = contents(db)
        assert (await tell(store, *records)).topics == frozenset()
        assert contents(db) == before
        for kept, counted in (recount(db), recount_rollups(db)):
            assert kept == counted
        db.close()


async def test_every_attempt_is_kept(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(
            store, origin(), task("enqueued", "a", T), task("started", "a", T + 1_000),
            task("retried", "a", T + 2_000, T + 1_000, 9, T + 5_000, "again", "ValueError", "bad", "tb"),
            task("enqueued", "a", T + 1_500, T + 5_000, attempt=1),
            task("started", "a", T + 6_000, attempt=1), task("succeeded", "a", T + 7_000, None, T + 6_000, 8, "ok", attempt=1),
        )  # fmt: skip
        detail = await get_task(store, 1)
        assert detail is not None
        assert detail.row.state == "succeeded"
        assert [(run.attempt, run.state, run.error, run.traceback, run.eta_at) for run in detail.runs] == [
            (0, "retrying", "bad", "tb", T + 5_000),
            (1, "succeeded", "", "", None),
        ]
        assert detail.row.waited_us == 1_000


async def test_a_running_first_try_shows_as_a_run(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), task("started", "a", T))
        detail = await get_task(store, 1)
        assert detail is not None
        assert [(run.state, run.started_at, run.ended_at) for run in detail.runs] == [("running", T, None)]


async def test_links_are_found_from_both_ends_whatever_comes_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, task("enqueued", "child", T, None, {"parent_id": UUID, "root_id": UUID, "priority": 0}))
        await tell(store, task("enqueued", "again", T, None, {"retry_of": "child"}))
        child = await get_task(store, 1)
        assert child is not None
        assert [(link.id, link.task_id, link.name) for link in child.parent] == [(None, UUID, "")]
        await tell(store, task("enqueued", UUID, T, None, {"root_id": UUID}))
        child, again, parent = [await get_task(store, id) for id in (1, 2, 3)]
        assert child is not None
        assert again is not None
        assert parent is not None
        assert [(link.id, link.name, link.state) for link in child.parent] == [(3, "shop.ship", "queued")]
        assert [link.id for link in child.retried_as] == [2]
        assert [link.id for link in again.retry_of] == [1]
        assert [link.id for link in parent.children] == [1]
        assert child.sent == {"parent_id": UUID, "root_id": UUID, "priority": 0}
        assert parent.sent == {}


async def test_bad_records_are_counted_and_the_good_ones_kept(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        good = wire.encode_record(task("started", "good", T))
        bad = [
            b"no record\n",
            b"\x1e[1,2\n",
            b'\x1e["started"]\n',
            wire.encode_record(task("started", "x", T, queue="\ud800")),
            wire.encode_record(task("started", "x", T, name="a\0b")),
            wire.encode_record(task("started", "x", T, name="n" * 256)),
            wire.encode_record(task("due", "x", T)),
            wire.encode_record(task("started", "x", T + 7_200 * SECOND)),
            b'\x1e["started","celery","torn",0',
        ]
        found = await ingest_batch(store, 1, b"".join([*bad[:3], good, *bad[3:]]), at=T)
        assert found.refused == {"torn": 2, "malformed": 3, "nul": 1, "limits": 1, "server_only": 1, "future": 1}
        assert found.tasks == 1
        assert "workers" in found.topics
        rows = await gaps.list_refused(store)
        assert {row.cause: row.events for row in rows} == found.refused
        assert {row.app for row in rows} == {"shop"}
        await ingest_batch(store, 1, bad[0], at=T + 1)
        assert {row.cause: row.events for row in await gaps.list_refused(store)}["torn"] == 3


async def test_a_long_batch_is_stored_in_parts_and_what_is_refused_is_counted_once(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        count = 2 * SLICE + 5
        sent = b"".join(wire.encode_record(task("enqueued", f"t{number}", T + number)) for number in range(count))
        found = await ingest_batch(store, 1, b"rest of a record" + sent + b"\x1e[]\n", at=T)
        assert (found.tasks, found.records, found.newest_at) == (count, count, T + count - 1)
        assert found.refused == {"torn": 1, "malformed": 1}
        assert {row.cause: row.events for row in await gaps.list_refused(store)} == found.refused
        assert await store.fetch_all("SELECT count(*), min(id), max(id) FROM task") == [(count, 1, count)]


async def test_times_before_the_clock_was_set_back_are_taken(tmp_path: Path) -> None:
    now = T + 3 * 86_400 * SECOND
    clock.use(lambda: now * 1_000)
    try:
        clock.now()
        now = T
        async with database(tmp_path) as store:
            lives = [record for late in (0, 3 * 86_400 - 60, 3 * 86_400 + 601) for record in life(f"t{late}", T + late * SECOND)]
            found = await ingest_batch(store, 1, b"".join(map(wire.encode_record, [origin(), *lives])), at=T)
            assert (found.tasks, found.refused) == (2, {"future": len(lives) // 3})
    finally:
        clock.use()


async def test_a_nul_in_a_text_is_shown_and_long_texts_are_cut(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, task("failed", "a", T, None, None, None, "", "E", "a\0b", "x" * 100_000))
        detail = await get_task(store, 1)
        assert detail is not None
        assert detail.row.error == "a␀b"
        assert len(detail.runs[0].traceback) == 64_000


async def test_gaps_faults_and_command_results(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        gap = ["gap", "segment-1", T, {"count": 5, "bytes": 900, "first_at": T - 9, "last_at": T - 1, "cause": "limit"}]
        fault = ["fault", "f1", T, {"where": "capture", "error": "boom\0", "count": 2}]
        await store.write(add_command)
        found = await tell(store, gap, gap, fault, ["fault", "f1", T, {"where": "capture", "error": "boom", "count": 7}],
                           ["command", "c1", T, "accepted", {}], ["command", "c1", T + 5, "done", {"task_id": "n"}],
                           ["command", "unknown", T, "done", None])  # fmt: skip
        assert found.topics == {"workers", "changes"}
        assert [(of.id.owner, of.status) for of in found.answers] == [("c1", "accepted"), ("c1", "done")], "of its own commands only"
        assert [(row.events, row.bytes, row.cause) for row in await gaps.list_gaps(store, since=0)] == [(5, 900, "limit")]
        assert [(row.place, row.error, row.events) for row in await gaps.list_faults(store, since=0)] == [("capture", "boom␀", 7)]
        assert await gaps.list_gaps(store, since=T + 1) == []
        row = await store.fetch_one("SELECT status, detail, ended_at FROM command")
        assert row is not None
        assert (row[0], json.loads(row[1]), row[2]) == ("done", {"task_id": "n"}, T + 5)


async def test_beyond_the_limit_the_oldest_gap_and_fault_are_deleted_and_known_ones_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gap(number: int, count: int = 1) -> list[Any]:
        return ["gap", f"g{number}", T + number, {"count": count, "bytes": count, "cause": f"g{number}"}]

    def fault(number: int, count: int = 1) -> list[Any]:
        return ["fault", f"f{number}", T + number, {"where": f"f{number}", "error": "e", "count": count}]

    async def kept() -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        found = await gaps.list_gaps(store, since=0), await gaps.list_faults(store, since=0)
        return [(row.cause, row.events) for row in found[0] if row.app == "shop"], [(row.place, row.events) for row in found[1]]

    monkeypatch.setattr(gaps, "MOST", 3)
    async with database(tmp_path) as store:
        await store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES ('other', 0)").rowcount)
        await tell(store, gap(0), app_id=2)
        await tell(store, *map(gap, (2, 3, 4)), *map(fault, (2, 3, 4)))
        await tell(store, gap(2, 7), fault(2, 7))
        assert await kept() == ([("g4", 1), ("g3", 1), ("g2", 7)], [("f4", 1), ("f3", 1), ("f2", 7)])
        await tell(store, gap(5), fault(5))
        assert await kept() == ([("g5", 1), ("g4", 1), ("g3", 1)], [("f5", 1), ("f4", 1), ("f3", 1)])
        await tell(store, gap(1), fault(1))  # happened before the others, reported after them
        assert await kept() == ([("g5", 1), ("g4", 1), ("g1", 1)], [("f5", 1), ("f4", 1), ("f1", 1)])
        assert [row.cause for row in await gaps.list_gaps(store, since=0) if row.app == "other"] == ["g0"]


async def test_the_servers_own_facts(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, origin(), task("started", UUID, T))
        facts = [
            ServerFact("celery", UUID, Event("lost", 0, T + 1, "b00t.7", "w1", reason="worker_gone")),
            ServerFact("celery", UUID, Event("cancel_asked", 0, T + 5)),
        ]
        found = await ingest_facts(store, 1, facts)
        assert found.topics == {"tasks", "queues", "strip", "errors"}
        detail = await get_task(store, 1)
        assert detail is not None
        assert (detail.row.state, detail.row.reason, detail.row.cancel_asked_at, detail.row.worker) == ("lost", "worker_gone", T + 5, "w1")
        assert (await ingest_facts(store, 1, [])).tasks == 0


async def test_an_unknown_boot_is_filled_in_by_its_origin(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await tell(store, task("started", "a", T, run="no pid"))
        await tell(store, task("started", "b", T, run="later.3"))
        await tell(store, origin("later"), task("started", "c", T, run="later.3"))
        page = await list_tasks(store, TaskFilter())
        # A release follows from the boot at any time, worker and environment only from then on.
        found = {row.task_id: (row.worker, row.release, row.environment) for row in page.rows}
        assert found == {"a": ("", "", ""), "b": ("", "1.0", ""), "c": ("w1", "1.0", "production")}


async def test_a_batch_of_a_failed_commit_leaves_nothing(tmp_path: Path) -> None:
    async with database(tmp_path) as store:

        def fail(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO name (kind, text) VALUES ('name', 'never')")
            raise LookupError("no")

        with pytest.raises(LookupError):
            await store.write(fail)
        await tell(store, *life("a", T, name="never"))
        assert (await list_tasks(store, TaskFilter(name="never"))).rows[0].task_id == "a"


async def test_a_record_that_breaks_the_server_keeps_none_of_its_neighbours_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours: that record is counted as refused, the rest of the batch is taken, and the batch is acked."""
    whole = task_columns.encode

    def broken(db: Any, app_id: int, of: Any, *before: Any) -> Any:
        if of.name and of.name[1] == "shop.breaks":
            raise KeyError("a defect")
        return whole(db, app_id, of, *before)

    monkeypatch.setattr(task_writer, "encode", broken)
    async with database(tmp_path) as store:
        done = await tell(store, *life("a", T), *life("b", T, name="shop.breaks"), *life("c", T))
        assert done.refused == {"server error": 4}
        found = (await list_tasks(store, TaskFilter())).rows
        assert sorted((row.task_id, row.state) for row in found) == [("a", "succeeded"), ("c", "succeeded")]
        assert await store.fetch_all("SELECT cause, events FROM refused") == [("server error", 4)]
