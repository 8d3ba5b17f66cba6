# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts that agents send beside task records are masked by the server, and those an older release stored are masked once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import T, origin, tell
from tests.support.scheduling import House, Person, house, schedule_request
from z4j.agents.connections import Need
from z4j.exceptions import BadInput, WrongState
from z4j.operations.commands import CommandRequest
from z4j.rules.plans import Item
from z4j.store.fleet import agents
from z4j.store.operations import operator_input, plans
from z4j.store.operations.value_encryption import KEY_FILE, Seal
from z4j.store.schedules import schedules
from z4j.store.schedules.schedules import OverrideRow
from z4j.text import JsonObject
from z4j.wire.frames import Discovery, Hello, Schedules, decode_frame
from z4j_agent.wire.redaction import MASK, RULES

pytestmark = pytest.mark.anyio
CANARY = "Zq7CanaryOfAnAgent5tX"
SAID = f"redis://worker:{CANARY}@broker:6379/0 does not answer"
TABLES = ("agent", "task_name", "scheduler", "schedule", "fire", "command", "plan", "plan_item", "fault", "audit")


async def everything(of: House) -> str:
    return str([await of.store.fetch_all(f"SELECT * FROM {table}") for table in TABLES])


def frame(kind: str, **facts: Any) -> Any:
    return decode_frame(json.dumps({"type": kind, **facts}))


async def greet(of: House, **facts: Any) -> None:
    hello = frame(
        "hello", protocol=1, agent_version="0", boot="b1", spool="s1", host="h1", pid=7, role="worker", environment="production",
        engines={"celery": "5"}, capabilities=[], allow="all", denied=[], shipper=True, at=T, worker="w1", **facts,
    )  # fmt: skip
    assert isinstance(hello, Hello)
    await of.store.write(lambda db: agents.record_hello(db, 1, hello, T, 0))


async def test_notes_signatures_and_answers_of_an_older_agent_are_masked(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await greet(of, redaction=RULES - 1, notes=[SAID])
        found = frame(
            "discovery", engine="celery", queues=[],
            tasks=[["shop.login", f"(user: str = 'ada', password: str = '{CANARY}')", f"Signs in with password={CANARY}.", "work", ""]],
            worker={"name": "w1", "notes": [SAID]},
        )  # fmt: skip
        assert isinstance(found, Discovery)
        await of.store.write(lambda db: agents.record_discovery(db, 1, "b1", found, T))
        told = frame(
            "schedules", scheduler="celery_beat", engine="celery", store="code", is_firing=True, tick_us=1, timezone="UTC",
            can_create=True, failed={"nightly": SAID}, notes=[SAID],
            entries=[
                {"key": "nightly", "name": "nightly", "kind": "cron", "expression": "* * * * *", "timezone": "UTC",
                 "task_name": "shop.login", "note": SAID, "unable": {"save": SAID}, "args": json.dumps([f"token={CANARY}"])}
            ],
        )  # fmt: skip
        assert isinstance(told, Schedules)
        await of.store.write(lambda db: schedules.record_schedules(db, 1, "b1", told, T))
        facts = {"scheduler": "celery_beat", "schedule": "nightly", "due_at": T, "outcome": "failed", "error": SAID}
        await tell(of.store, origin("b1"), ["fired", "b1.7", T, facts], ["fault", "f1", T, {"where": "redis", "error": SAID}])
        await of.store.write(lambda db: agents.record_left(db, 1, "b1", T, SAID, is_orderly=True))
        stored = await everything(of)
        assert CANARY not in stored
        assert stored.count("@broker:6379/0 does not answer") == 9
        assert "(user: str = 'ada', password: str = '•••')" in stored.replace("\\'", "'")


async def test_an_item_of_a_plan_and_a_command_show_a_masked_answer(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        made = (
            await of.dispatch.submit(Person(), CommandRequest(Need(1, "celery", "run_task", "production"), "x", {"name": "shop.report"}))
        )[0]
        await tell(of.store, ["command", made.id, T, "failed", {"failed": {"nightly": SAID}, "error": SAID, "task_id": "t1"}])

        def add(db: Any) -> None:
            id = plans.add_plan(db, key="a" * 16, action="retry_task", params="{}", source="", author="ann", reason="", undo_of="", at=T)
            plans.add_items(db, [(id, 1, 1, b"t", 11, 1, None)])
            plans.freeze_plan(db, id, [], digest="d", items=1, excluded="{}", samples="[]", load_us=None)
            plans.mark_sent(db, id, [(1, "s1")], T)
            assert plans.end_item(db, id, 1, Item.FAILED, T, SAID)

        await of.store.write(add)
        stored = await everything(of)
        assert CANARY not in stored
        assert stored.count(f"redis://{MASK}@broker") + stored.count("redis://\\\\u2022") >= 3


async def test_what_an_older_release_stored_is_masked_once(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await greet(of)
        of.agent()
        await of.dispatch.submit(Person(), CommandRequest(Need(1, "celery", "run_task", "production"), "x", {"name": "shop.report"}))
        id = await of.make()

        def as_before(db: Any) -> None:
            db.execute("UPDATE command SET reason = ?, detail = ?", (SAID, json.dumps({"error": SAID})))
            db.execute("UPDATE agent SET notes = ?, worker_notes = ?, left_reason = ?", (json.dumps([SAID]), json.dumps([SAID]), SAID))
            db.execute("UPDATE schedule SET note = ?, unable = ?", (SAID, json.dumps({"save": SAID})))
            db.execute("INSERT INTO fire (schedule_id, due_at, outcome, error) VALUES (?, 1, 'failed', ?)", (id, SAID))
            db.execute("INSERT INTO fault VALUES (1, 'k', 1, 'p', ?, 1)", (SAID,))
            db.execute(
                "INSERT INTO task_name (app_id, name_id, engine_id, environment_id, signature, doc, queue_id, seen_at) "
                "VALUES (1, 1, 1, 1, ?, ?, 1, 0)",
                (f"(password='{CANARY}')", SAID),
            )
            db.execute("INSERT INTO setting VALUES ('typed_values_closed', '1') ON CONFLICT DO UPDATE SET value = '1'")

        await of.store.write(as_before)
        assert (await everything(of)).count(CANARY) == 11
        assert await of.store.write(operator_input.close_stored) == 6
        assert CANARY not in await everything(of)
        assert await of.store.write(operator_input.close_stored) == 0


async def lose_key(of: House, folder: Path) -> None:
    (folder / KEY_FILE).write_bytes(bytes(32))
    of.store.seal = Seal(folder)

    def forget(db: Any) -> None:
        db.seal = of.store.seal

    await of.store.write(forget)


async def test_one_override_that_cannot_be_read_leaves_the_others_and_does_not_run(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        spec: JsonObject = {"key": "nightly", "name": "nightly", "task_name": "shop.report", "args": [], "kwargs": {"token": CANARY}}
        plain: JsonObject = {**spec, "key": "hourly", "name": "hourly", "kwargs": {"fast": True}}
        new: JsonObject = {**spec, "key": "z4j:new", "name": "new"}
        for key, is_new, its in (("nightly", False, spec), ("hourly", False, plain), ("z4j:new", True, new)):
            row = OverrideRow(key, is_new, False, True, its, T, "ann")
            await of.store.write(lambda db, row=row: schedules.put_override(db, 1, "production", "celery_beat", row))  # type: ignore[misc]
        await lose_key(of, tmp_path)
        rows = {row.key: row for row in await schedules.list_overrides(of.store, 1, "production", "celery_beat")}
        assert rows["hourly"] == OverrideRow("hourly", False, False, True, plain, T, "ann")
        assert (rows["nightly"].is_enabled, rows["nightly"].spec) == (False, None)
        assert "could not be decrypted" in rows["nightly"].error
        link = of.agent(capabilities={("celery_beat", "apply_overrides"): "any"})
        await greet(of)
        entries = [
            {
                "key": key,
                "name": key,
                "kind": "cron",
                "expression": "0 1 * * *",
                "timezone": "UTC",
                "task_name": "shop.report",
                "is_code": True,
            }
            for key in ("nightly", "hourly")
        ]
        told = frame(
            "schedules", scheduler="celery_beat", engine="celery", store="code", is_firing=True, tick_us=1, timezone="UTC",
            can_create=True, entries=entries,
        )  # fmt: skip
        link.boot = "b1"
        await of.outbox.schedules_listed(link, told)
        sent = {of["key"]: of for of in of.sent[-1]["params"]["overrides"]}
        assert sent.keys() == {"nightly", "hourly"}  # a new entry that cannot be read is not made
        assert (sent["nightly"]["is_enabled"], sent["nightly"]["spec"], "error" in sent["nightly"]) == (False, None, False)
        assert sent["hourly"]["spec"] == plain
        listed = {row.key: row for row in await schedules.list_schedules(of.store)}
        for on in (True, False):
            with pytest.raises(WrongState, match="could not be decrypted"):
                await of.desk.switch(Person(), listed["nightly"], on=on, reason="why")
        timing = {"scheduler": "celery_beat", "name": "nightly", "kind": "cron", "expression": "0 2 * * *"}
        with pytest.raises(WrongState, match="could not be decrypted"):
            await of.desk.edit(Person(), listed["nightly"], schedule_request(**timing, args=None, kwargs=None))
        with pytest.raises(BadInput, match="no stored value"):
            await of.desk.edit(Person(), listed["nightly"], schedule_request(**timing, args=[], kwargs={"token": MASK}))
        await of.desk.edit(Person(), listed["nightly"], schedule_request(**timing, args=[], kwargs={"token": "typed-again-8x"}))
        assert {o["key"]: o for o in of.sent[-1]["params"]["overrides"]}["nightly"]["spec"]["kwargs"] == {"token": "typed-again-8x"}


async def test_an_own_schedule_that_cannot_be_read_can_be_switched_and_typed_again(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(kwargs={"password": CANARY})
        await lose_key(of, tmp_path)
        await of.desk.switch(Person(), await of.row(id), on=False, reason="key lost")
        await of.desk.switch(Person(), await of.row(id), on=True)
        with pytest.raises(Exception, match="could not be decrypted"):
            await of.desk.edit(Person(), await of.row(id), schedule_request(kwargs=None))
        with pytest.raises(BadInput, match="no stored value"):
            await of.desk.edit(Person(), await of.row(id), schedule_request(kwargs={"password": MASK}))
        await of.desk.edit(Person(), await of.row(id), schedule_request(kwargs={"password": "typed-again-8x"}))
        await of.go(61)
        assert of.sent[-1]["params"]["kwargs"] == {"password": "typed-again-8x"}
        assert (await of.outcomes(id))[-1][1] == "handed"
