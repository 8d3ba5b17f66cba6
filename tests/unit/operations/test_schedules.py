# SPDX-License-Identifier: AGPL-3.0-or-later
"""What operators do to schedules, whoever holds them; and what is concluded from what schedulers tell and do not tell."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, origin, tell
from tests.support.scheduling import NOON, House, Person, house, schedule_request
from z4j.agents.connections import AgentLink
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, WrongState
from z4j.store.access import audit
from z4j.store.fleet import agents
from z4j.store.schedules import fires, overdue, schedules
from z4j.store.schedules.schedules import ScheduleRow
from z4j.wire.frames import Hello, Schedules, decode_frame
from z4j_agent.wire import digest_of

pytestmark = pytest.mark.anyio
BEAT = {("celery_beat", action): "any" for action in ("apply_overrides", "fire_schedule")}
STORE = {
    ("rq_scheduler", f"{word}_schedule"): "any" for word in ("save", "delete", "enable", "disable", "fire")
}  # fmt: skip


def listing(scheduler: str = "celery_beat", *entries: dict[str, Any], **facts: Any) -> Schedules:
    known: dict[str, Any] = {
        "type": "schedules", "scheduler": scheduler, "engine": "celery", "store": "code", "is_firing": True, "tick_us": 5_000_000,
        "timezone": "UTC", "can_create": True, "applied": "", "failed": {}, "notes": [], "is_cut": False, "entries": list(entries),
    }  # fmt: skip
    told = decode_frame(json.dumps(known | facts))
    assert isinstance(told, Schedules)
    return told


def entry(key: str = "nightly", **facts: Any) -> dict[str, Any]:
    known = {
        "key": key, "name": key, "kind": "interval", "expression": "60", "timezone": "UTC", "task_name": "shop.report", "args": "[1]",
        "kwargs": '{"token": "•••"}', "next_at": NOON + 60 * SECOND, "is_code": True,
    }  # fmt: skip
    return known | facts


async def connect(of: House, boot: str, capabilities: dict[tuple[str, str], str], **more: Any) -> AgentLink:
    """An agent that said hello and is known to the database."""
    hello = decode_frame(
        json.dumps(
            {
                "type": "hello", "protocol": 1, "agent_version": "0", "boot": boot, "spool": boot, "host": "h1", "pid": 7,
                "role": "scheduler", "environment": "production", "engines": {"celery": "5.7"}, "capabilities": [], "allow": "all",
                "denied": [], "shipper": True, "at": of.at, "worker": f"beat@{boot}",
            }
        )
    )  # fmt: skip
    assert isinstance(hello, Hello)
    at = of.at
    await of.store.write(lambda db: agents.record_hello(db, 1, hello, at, 0))
    return of.agent(boot, capabilities, spool=boot, **more)


async def leave(of: House, boot: str) -> None:
    at = of.at
    await of.store.write(lambda db: agents.record_left(db, 1, boot, at, "gone", is_orderly=False))


async def by_key(of: House, key: str) -> ScheduleRow:
    return next(row for row in await schedules.list_schedules(of.store) if row.key == key)


def fired(boot: str, key: str, due_at: int, at: int, **facts: Any) -> list[Any]:
    told = {"scheduler": "celery_beat", "schedule": key, "due_at": due_at, "task_id": f"t{due_at}", "outcome": "sent", "error": ""}
    return ["fired", f"{boot}.7", at, told | facts]


# -- own -------------------------------------------------------------------------------------------------------------------
async def test_an_own_schedule_is_made_edited_and_deleted_with_who_and_why(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make()
        row = await of.row(id)
        await of.desk.edit(Person(name="bob"), row, schedule_request(expression="5m", args=None, kwargs=None, jitter_s=2), "too often")
        row = await of.row(id)
        assert (row.expression, row.args, json.loads(row.kwargs), row.jitter_us) == ("300", "[1]", {"fast": True}, 2_000_000)
        edit = (await schedules.list_edits(of.store, row))[0]
        assert (edit.by, edit.action, edit.reason) == ("bob", "edited", "too often")
        assert edit.changes == {"expression": ["60", "300"], "jitter_s": [0.0, 2]}
        assert await of.desk.fire(Person(), row, "now") == of.sent[-1]["params"]["new_id"]
        await of.desk.delete(Person(), row, "not needed")
        assert await schedules.get_schedule(of.store, id) is None
        log = await audit.list_audit(of.store, before=1 << 60, limit=10)
        assert [entry.action for entry in log] == ["delete_schedule", "run_task", "save_schedule", "save_schedule"]
        assert all("shop.report" in json.dumps(entry.detail) for entry in log if entry.action != "run_task")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"expression": "0"}, "not a valid interval"),
        ({"name": ""}, "name"),
        ({"task_name": ""}, "task"),
        ({"catch_up": "sometimes"}, "Catch-up"),
        ({"jitter_s": 4_000}, "jitter"),
        ({"kind": "cron", "expression": "* * *"}, "five fields"),
        ({"kind": "once", "expression": "2020-01-01 00:00"}, "never be due"),
        ({"starts_at": 2, "ends_at": 1}, "end is before the start"),
        ({"kind": "cron", "expression": "0 0 * * *", "timezone": "Nowhere/Land"}, "Unknown time zone"),
    ],
)
async def test_what_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    async with house(tmp_path) as of:
        with pytest.raises(BadInput, match=word):
            await of.make(**changes)
        assert await schedules.list_schedules(of.store) == []


async def test_a_viewer_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make()
        row = await of.row(id)
        for act in (
            of.desk.create(Person("viewer"), schedule_request()), of.desk.edit(Person("viewer"), row, schedule_request(expression="5")),
            of.desk.delete(Person("viewer"), row), of.desk.switch(Person("auditor"), row, on=False, reason="x"),
            of.desk.fire(Person("viewer"), row),
        ):  # fmt: skip
            with pytest.raises(NotAllowed):
                await act
        with pytest.raises(BadInput, match="reason is required"):
            await of.desk.switch(Person(), row, on=False)
        with pytest.raises(NotFound):
            await of.make(app="nobody")
        assert (await of.row(id)).expression == "60"


# -- in code ---------------------------------------------------------------------------------------------------------------
async def test_a_schedule_in_code_is_overridden_and_goes_back(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "beat", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry()))
        row = await by_key(of, "nightly")
        assert (row.is_code, row.is_overridden, row.next_at) == (True, False, NOON + 60 * SECOND)
        await of.desk.switch(Person(), row, on=False, reason="noisy")
        told = of.sent[-1]
        assert (told["action"], told["engine"]) == ("apply_overrides", "celery_beat")
        off = {"key": "nightly", "is_new": False, "is_deleted": False, "is_enabled": False, "spec": None}
        assert told["params"]["overrides"] == [off]
        await of.outbox.schedules_listed(link, listing("celery_beat", entry(is_enabled=False), applied=digest_of([off])))
        row = await by_key(of, "nightly")
        assert (row.is_enabled, row.is_overridden, row.next_at) == (False, True, None)
        change = dataclasses.replace(
            schedule_request(), scheduler="celery_beat", expression="300", args=None, kwargs=None, is_enabled=False
        )
        await of.desk.edit(Person(), row, change, "slower")
        assert of.sent[-1]["params"]["overrides"][0]["spec"]["expression"] == "300"
        await of.desk.switch(Person(), await by_key(of, "nightly"), on=True)
        override = of.sent[-1]["params"]["overrides"][0]
        assert (override["is_enabled"], override["spec"]["is_enabled"]) == (True, True)
        await of.desk.revert(Person(), row, "done")
        assert of.sent[-1]["params"]["overrides"] == []
        with pytest.raises(WrongState, match="no override"):
            await of.desk.revert(Person(), row)


async def test_a_new_one_stands_beside_the_code_and_every_process_that_connects_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "beat", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry()))
        await of.desk.create(Person(), dataclasses.replace(schedule_request(), scheduler="celery_beat"))
        await of.outbox.schedules_listed(link, listing("celery_beat", entry(), entry("z4j:report", is_code=False)))
        with pytest.raises(WrongState, match="already"):
            await of.desk.create(Person(), dataclasses.replace(schedule_request(), scheduler="celery_beat"))
        made = of.sent[-1]["params"]["overrides"]
        assert [(of_one["key"], of_one["is_new"]) for of_one in made] == [("z4j:report", True)]
        of.sent.clear()
        other = await connect(of, "second", BEAT)
        await of.outbox.schedules_listed(other, listing("celery_beat", entry(), applied=digest_of(made)))
        assert of.sent == [], "it has them already, from its own disk"
        await of.outbox.schedules_listed(other, listing("celery_beat", entry()))
        assert [frame["params"]["overrides"] for frame in of.sent] == [made]
        change = dataclasses.replace(schedule_request(), scheduler="celery_beat", args=["•••", 2], kwargs={"fast": "•••"})
        await of.desk.edit(Person(), await by_key(of, "z4j:report"), change)
        spec = of.sent[-1]["params"]["overrides"][0]["spec"]
        assert (spec["args"], spec["kwargs"]) == ([1, 2], {"fast": True}), "what shows the mask is kept, for the next start too"
        await of.desk.delete(Person(), await by_key(of, "z4j:report"), "enough")
        assert of.sent[-1]["params"]["overrides"] == []
        await of.desk.delete(Person(), await by_key(of, "nightly"), "enough")
        assert of.sent[-1]["params"]["overrides"][0]["is_deleted"] is True


# -- in a store ------------------------------------------------------------------------------------------------------------
async def test_a_schedule_in_a_store_is_changed_by_a_command(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "rq", STORE)
        listed = listing("rq_scheduler", entry(is_code=False), store="redis", engine="rq")
        await of.outbox.schedules_listed(link, listed)
        row = await by_key(of, "nightly")
        change = dataclasses.replace(schedule_request(), scheduler="rq_scheduler", expression="120", args=None, kwargs=None)
        await of.desk.edit(Person(), row, change)
        assert (of.sent[-1]["action"], of.sent[-1]["params"]["key"], of.sent[-1]["params"]["args"]) == ("save_schedule", "nightly", None)
        await of.desk.switch(Person(), row, on=False, reason="x")
        await of.desk.delete(Person(), row)
        await of.desk.fire(Person(), row)
        await of.desk.create(Person(), change)
        assert [frame["action"] for frame in of.sent] == [
            "save_schedule", "disable_schedule", "delete_schedule", "fire_schedule", "save_schedule"
        ]  # fmt: skip
        with pytest.raises(BadInput, match="one time zone") as caught:
            await of.desk.edit(Person(), row, dataclasses.replace(change, kind="cron", expression="30 2 * * *", timezone="Asia/Kolkata"))
        assert "0 21 * * *" in caught.value.hint
        of.hub.disconnect(link)
        with pytest.raises(AgentGone):
            await of.desk.delete(Person(), row)


async def test_what_an_entry_cannot_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "rq", STORE)
        await of.outbox.schedules_listed(link, listing("rq_scheduler", entry(is_code=False, unable={"save": "a rule of its own"})))
        row = await by_key(of, "nightly")
        with pytest.raises(WrongState, match="a rule of its own"):
            await of.desk.edit(Person(), row, schedule_request())
        await of.outbox.schedules_listed(link, listing("rq_scheduler", store="redis"))
        gone = await schedules.get_schedule(of.store, row.id)
        assert gone is not None
        assert gone.gone_at is None, "a list that came in the same moment says nothing"
        of.move(1)
        await of.outbox.schedules_listed(link, listing("rq_scheduler", store="redis"))
        gone = await schedules.get_schedule(of.store, row.id)
        assert gone is not None
        assert gone.gone_at == of.at
        with pytest.raises(WrongState, match="no longer exists"):
            await of.desk.fire(Person(), gone)


# -- expected and actual ---------------------------------------------------------------------------------------------------
async def test_fires_are_put_beside_what_was_due(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "beat", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry()))
        row = await by_key(of, "nightly")
        due = NOON + 60 * SECOND
        await tell(of.store, fired("beat", "nightly", due, due + SECOND), fired("beat", "nightly", due, due + SECOND), at=due + SECOND)
        await tell(of.store, fired("beat", "nightly", due + 60 * SECOND, due + 90 * SECOND), at=due + 90 * SECOND)
        rows = await of.fires(row.id)
        assert [(fire.outcome, fire.is_late, fire.is_double) for fire in rows] == [("sent", False, False), ("sent", True, False)]
        row = await by_key(of, "nightly")
        assert row.last_at == due + 90 * SECOND
        assert row.next_at == due + 120 * SECOND


async def test_an_entry_read_before_its_fire_does_not_put_its_time_back(tmp_path: Path) -> None:
    """A list and a fire come by different ways, and some stores write the last run minutes later."""
    async with house(tmp_path) as of:
        await connect(of, "beat", BEAT)
        due = NOON + 5 * SECOND
        iso = datetime.fromtimestamp(due / SECOND, UTC).isoformat()
        short, once = entry("short", expression="5", next_at=due), entry("once", kind="once", expression=iso, next_at=due)
        listed = listing("celery_beat", short, once)

        async def listed_at(told: Schedules, at: int) -> list[int | None]:
            await of.store.write(lambda db: schedules.record_schedules(db, 1, "beat", told, at))
            return [(await by_key(of, key)).next_at for key in ("short", "once")]

        assert await listed_at(listed, NOON) == [due, due]
        await tell(of.store, fired("beat", "short", due, due + SECOND), fired("beat", "once", due, due + SECOND), at=due + SECOND)
        assert await listed_at(listed, due + 2 * SECOND) == [due + 5 * SECOND, None]
        later = listing("celery_beat", short | {"next_at": due + 10 * SECOND}, once | {"next_at": due + 60 * SECOND})
        assert await listed_at(later, due + 3 * SECOND) == [due + 10 * SECOND, due + 60 * SECOND]
        assert await of.store.write(lambda db: overdue.write_missed(db, due + 15 * SECOND)) == 0


async def test_one_that_fires_before_it_is_listed_is_not_lost(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await tell(of.store, origin("beat"), fired("beat", "early", NOON, NOON), at=NOON)
        row = await by_key(of, "early")
        assert (row.kind, len(await of.fires(row.id))) == ("other", 1)
        await tell(of.store, fired("beat", "early", NOON, NOON, scheduler="z4j"), fired("beat", "x", 1, 1, outcome="odd"), at=NOON)
        assert len(await schedules.list_schedules(of.store)) == 1


async def test_two_beats_are_told_as_double_and_a_restart_is_not(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        first = await connect(of, "one", BEAT)
        await of.outbox.schedules_listed(first, listing("celery_beat", entry()))
        row = await by_key(of, "nightly")
        due = NOON + 60 * SECOND
        await tell(of.store, fired("one", "nightly", due, due), at=due)
        await connect(of, "two", BEAT)
        await tell(of.store, fired("two", "nightly", due + 20 * SECOND, due + 20 * SECOND), at=due + 20 * SECOND)
        assert [fire.is_double for fire in await of.fires(row.id)] == [False, True]
        await leave(of, "one")
        await leave(of, "two")
        await connect(of, "three", BEAT)
        await tell(of.store, fired("three", "nightly", due + 60 * SECOND, due + 60 * SECOND), at=due + 60 * SECOND)
        assert [fire.is_double for fire in await of.fires(row.id)] == [False, True, False]


async def test_a_fire_of_the_very_same_time_is_double_whoever_is_left(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        first = await connect(of, "one", BEAT)
        await of.outbox.schedules_listed(first, listing("celery_beat", entry(kind="cron", expression="* * * * *")))
        row = await by_key(of, "nightly")
        due = NOON + 60 * SECOND
        await tell(of.store, origin("two"), fired("one", "nightly", due, due), fired("two", "nightly", due, due + 5), at=due + 5)
        assert sorted(fire.is_double for fire in await of.fires(row.id)) == [False, True]


async def test_a_fire_whose_function_raised_is_a_fire_and_one_that_was_never_sent_is_none(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "one", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry(kind="cron", expression="* * * * *")))
        row = await by_key(of, "nightly")
        due = NOON + 60 * SECOND
        one = fired("one", "nightly", due, due), fired("one", "nightly", due, due + 1, outcome="failed")
        two = fired("two", "nightly", due, due + 5), fired("two", "nightly", due, due + 6, outcome="failed")
        await tell(of.store, origin("two"), *one, *two, at=due + 6)
        assert sorted((fire.outcome, fire.is_double) for fire in await of.fires(row.id)) == [("failed", False), ("failed", True)]
        due += 60 * SECOND
        both = (fired(boot, "nightly", due, due, outcome="failed") for boot in ("one", "two"))
        await tell(of.store, *both, fired("two", "nightly", due + SECOND, due + SECOND), at=due)
        assert not any(fire.is_double for fire in await of.fires(row.id) if fire.due_at >= due)


async def test_a_beat_that_dies_is_told_by_what_it_misses_and_a_late_word_takes_it_back(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "beat", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry()))
        row = await by_key(of, "nightly")
        due = NOON + 60 * SECOND
        await leave(of, "beat")
        assert await of.store.write(lambda db: overdue.write_missed(db, due + 5 * SECOND)) == 0, "it may still come"
        assert await of.store.write(lambda db: overdue.write_missed(db, due + 30 * SECOND)) == 1
        fire = (await of.fires(row.id))[0]
        assert (fire.outcome, fire.due_at, fire.error) == ("missed", due, "no process that runs it was connected")
        assert await of.store.write(lambda db: overdue.write_missed(db, due + 200 * SECOND)) == 3
        await tell(of.store, fired("beat", "nightly", due, due + SECOND), at=due + 210 * SECOND)
        rows = await of.fires(row.id)
        assert [fire.outcome for fire in rows] == ["sent", "missed", "missed", "missed"]


async def test_of_a_scheduler_nobody_hears_nothing_is_said_to_be_missed(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "web", STORE)
        await of.outbox.schedules_listed(link, listing("rq_scheduler", entry(is_code=False), is_firing=False))
        assert await of.store.write(lambda db: overdue.write_missed(db, NOON + 7_200 * SECOND)) == 0


async def test_old_fires_and_schedulers_are_deleted(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = await connect(of, "old", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry()))
        of.move(100)
        link = await connect(of, "new", BEAT)
        await of.outbox.schedules_listed(link, listing("celery_beat", entry()))
        await tell(of.store, fired("new", "nightly", NOON, NOON), at=NOON)
        at = of.at
        await of.store.write(lambda db: schedules.delete_old_schedulers(db, at + 1))
        assert [row.boot for row in await schedules.list_schedulers(of.store)] == ["new"]
        assert await of.store.write(lambda db: fires.delete_old(db, T + 86_400 * SECOND)) == 1
