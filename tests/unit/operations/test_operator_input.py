# SPDX-License-Identifier: AGPL-3.0-or-later
"""What operators type reaches the agent whole and is nowhere else in clear: not in the database, its log, a row or a backup."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, origin, task, tell
from tests.support.scheduling import House, Person, house, schedule_request
from z4j.agents.connections import Need
from z4j.agents.ingest import apply_batch
from z4j.exceptions import BadInput, StoreError
from z4j.operations.commands import CommandRequest
from z4j.store.names import names
from z4j.store.operations import commands, operator_input
from z4j.store.operations.value_encryption import KEY_FILE, Seal
from z4j.store.schedules import schedules
from z4j.store.schedules.schedules import OverrideRow
from z4j.store.tasks import task_ids
from z4j.text import JsonObject
from z4j_agent.wire import encode_record
from z4j_agent.wire.redaction import MASK, RULES

pytestmark = pytest.mark.anyio
CANARY = "Zq7CanaryTypedByHand"
LINK = "https://shop.example/reset/yFWjJN6YHZ8Ohheu3JrFT62uHjI1pIHp"
TYPED = {"name": "shop.report", "args": [7, LINK], "kwargs": {"password": CANARY, "fast": True}, "queue": "work"}


def clear_files(folder: Path) -> list[str]:
    """Files of the data folder that hold a canary in clear."""
    return [
        of.name for of in folder.rglob("*") if of.is_file() and any(word in of.read_bytes() for word in (CANARY.encode(), b"yFWjJN6YHZ8"))
    ]


async def run(of: House, reason: str = "", **params: Any) -> commands.CommandRow:
    need = Need(1, "celery", "run_task", "production", queue="work")
    return (await of.dispatch.submit(Person(), CommandRequest(need, "celery:shop.report", TYPED | params, reason=reason)))[0]


async def test_a_run_is_delivered_whole_and_stored_redacted(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        made = await run(of, reason=f"the password is {CANARY}")
        assert of.sent[-1]["params"]["kwargs"] == TYPED["kwargs"]
        assert of.sent[-1]["params"]["args"] == TYPED["args"]
        assert made.params["kwargs"] == {"password": MASK, "fast": True}
        stored = await commands.get_command(of.store, made.id)
        assert stored is not None
        assert stored.params["args"] == [7, MASK]  # the parameters of this task are not known, so any text by position may be a secret
        assert CANARY not in stored.reason
        whole: dict[str, Any] = await commands.whole_params(of.store, stored.id, stored.params)
        assert whole["kwargs"]["password"] == CANARY
        await of.answer(of.sent[-1], error=f"password={CANARY}")
        ended = await commands.get_command(of.store, made.id)
        assert ended is not None
        assert ended.detail == {"error": f"password={MASK}"}
        assert await of.store.fetch_all("SELECT sealed FROM command") == [("",)]
        await of.store.backup(tmp_path / "copy.db")
        assert clear_files(tmp_path) == []
    assert clear_files(tmp_path) == []


async def test_a_run_that_waits_for_an_agent_is_delivered_whole(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = of.agent()
        made = await run(of)
        await of.store.write(lambda db: db.execute("UPDATE command SET status = 'waiting', spool = NULL").rowcount)
        of.sent.clear()
        await of.outbox.agent_connected(link)
        assert of.sent[0]["id"] == f"command.{made.id}"
        assert of.sent[0]["params"]["kwargs"]["password"] == CANARY
        assert clear_files(tmp_path) == []


async def test_a_lost_key_fails_the_command_and_says_so(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        link = of.agent()
        made = await run(of)
        await of.store.write(lambda db: db.execute("UPDATE command SET status = 'waiting', spool = NULL").rowcount)
        (tmp_path / KEY_FILE).write_bytes(bytes(32))
        of.store.seal = Seal(tmp_path)
        of.sent.clear()
        await of.outbox.agent_connected(link)
        failed = await commands.get_command(of.store, made.id)
        assert failed is not None
        assert failed.status == "failed"
        assert "could not be decrypted" in str(failed.detail["error"])
        assert not [frame for frame in of.sent if frame["id"] == made.id]


async def test_an_own_schedule_keeps_what_is_hidden_through_edits_and_fires_whole(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        id = await of.make(args=TYPED["args"], kwargs=TYPED["kwargs"])
        row = await of.row(id)
        assert json.loads(row.kwargs) == {"password": MASK, "fast": True}
        shown = {"args": json.loads(row.args), "kwargs": {**json.loads(row.kwargs), "fast": False}}
        await of.desk.edit(Person(), row, schedule_request(**shown), reason=f"password={CANARY}")
        row = await of.row(id)
        await of.desk.switch(Person(), row, on=False, reason="pause")
        await of.desk.switch(Person(), await of.row(id), on=True)
        await of.go(61)
        assert of.sent[-1]["params"]["args"] == TYPED["args"]
        assert of.sent[-1]["params"]["kwargs"] == {"password": CANARY, "fast": False}
        await of.desk.fire(Person(), await of.row(id))
        assert of.sent[-1]["params"]["kwargs"]["password"] == CANARY
        for edit in await schedules.list_edits(of.store, row):
            assert CANARY not in json.dumps(edit.changes) + edit.reason
        assert clear_files(tmp_path) == []


async def test_a_mask_that_hides_nothing_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        with pytest.raises(BadInput, match="no stored value"):
            await of.make(kwargs={"password": MASK})
        id = await of.make(kwargs={"url": "postgres://ada:hunter2@db/x"})
        row = await of.row(id)
        assert json.loads(row.kwargs) == {"url": f"postgres://{MASK}@db/x"}
        with pytest.raises(BadInput, match="enter the complete value"):
            await of.desk.edit(Person(), row, schedule_request(kwargs={"url": f"postgres://{MASK}@other/x"}))


async def test_a_schedule_whose_key_is_lost_is_reported_and_others_fire(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        lost, other = await of.make(kwargs={"password": CANARY}), await of.make(name="plain")
        (tmp_path / KEY_FILE).write_bytes(bytes(32))
        of.store.seal = Seal(tmp_path)

        def forget_key(db: Any) -> None:
            db.seal = of.store.seal

        await of.store.write(forget_key)
        await of.go(61)
        assert await of.outcomes(lost) == [(60, "failed")]
        assert "could not be decrypted" in (await of.fires(lost))[0].error
        assert await of.outcomes(other) == [(60, "handed")]


async def test_an_override_is_stored_redacted_and_read_whole(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        spec: JsonObject = {"key": "nightly", "task_name": "shop.report", "args": [1], "kwargs": {"token": CANARY}}
        row = OverrideRow("nightly", False, False, True, spec, T, "ann")
        await of.store.write(lambda db: schedules.put_override(db, 1, "production", "celery_beat", row))
        assert await schedules.list_overrides(of.store, 1, "production", "celery_beat") == [row]
        [(stored,)] = await of.store.fetch_all("SELECT spec FROM override")
        assert json.loads(stored)["kwargs"] == {"token": MASK}
        assert clear_files(tmp_path) == []


async def test_a_positional_value_is_masked_by_the_name_of_its_parameter(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()

        def register(db: Any) -> None:
            ids = [names.intern(db, kind, text) for kind, text in (("engine", "celery"), ("name", "shop.report"), ("queue", "work"))]
            db.execute(
                "INSERT INTO task_name (app_id, environment_id, engine_id, name_id, queue_id, signature, doc, seen_at) "
                "VALUES (1, 0, ?, ?, ?, '(user, password)', '', 0)",
                ids,
            )

        await of.store.write(register)
        made = await run(of, args=["ada", "correct horse"], kwargs={})
        assert made.params["args"] == ["ada", MASK]
        assert of.sent[-1]["params"]["args"] == ["ada", "correct horse"]


async def test_what_older_releases_stored_in_clear_is_encrypted_at_the_start(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent()
        made = await run(of)
        id = await of.make(kwargs={"fast": True})

        def as_before(db: Any) -> None:
            db.execute("UPDATE command SET params = ?, sealed = ''", (json.dumps(TYPED),))
            db.execute("UPDATE schedule SET kwargs = ?, sealed = ''", (json.dumps({"password": CANARY}),))
            db.execute(
                "UPDATE schedule_edit SET reason = ?, changes = ?",
                (f"password={CANARY}", json.dumps({"kwargs": [None, json.dumps({"password": CANARY})]})),
            )
            spec = json.dumps({"task_name": "shop.report", "kwargs": {"password": CANARY}})
            db.execute("INSERT INTO override VALUES (1, '', 'celery_beat', 'k', 0, 0, 1, ?, 0, 'ann', '')", (spec,))

        await of.store.write(as_before)
        assert await of.store.write(operator_input.close_stored) == 4

        def traced(db: Any) -> tuple[int, list[str]]:
            read: list[str] = []
            db.set_trace_callback(read.append)
            try:
                return operator_input.close_stored(db), read
            finally:
                db.set_trace_callback(None)

        changed, read = await of.store.write(traced)
        assert (changed, len(read)) == (0, 1), "a later start reads only that it is done"
        await of.store.write(lambda db: db.execute("UPDATE setting SET value = '1' WHERE key = 'typed_values_closed'").rowcount)
        changed, read = await of.store.write(traced)
        assert changed == 0
        assert len(read) > 4, "older rules of redaction: all of it is looked at again"
        stored = await commands.get_command(of.store, made.id)
        assert stored is not None
        assert (await commands.whole_params(of.store, stored.id, stored.params)) == TYPED
        assert (await schedules.whole_arguments(of.store, id))[1] == json.dumps({"password": CANARY})
        with sqlite3.connect(tmp_path / "z4j.db") as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert clear_files(tmp_path) == []


async def test_what_agents_send_is_redacted_again(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        ended = (T, T + SECOND, 900_000, "", "ValueError", f"password={CANARY}", f"Traceback: {LINK}")
        await tell(of.store, origin(), task("failed", "t1", T, *ended), at=T + SECOND)
        stored = str(await of.store.fetch_all("SELECT * FROM task")) + str(await of.store.fetch_all("SELECT * FROM run"))
        assert f"password={MASK}" in stored
        assert clear_files(tmp_path) == []


async def test_an_agent_with_the_rules_of_this_release_is_not_redacted_twice(tmp_path: Path) -> None:
    """It costs as much as everything else that is done with a record; a restarted server does it until the agent says again who it is."""
    async with house(tmp_path) as of:
        ended = (T, T + SECOND, 900_000, "", "ValueError", "password=shown", "")
        for rules, told in ((RULES, "password=shown"), (RULES - 1, f"password={MASK}")):
            boot = f"boot{rules}"
            facts = {"host": "h", "pid": 1, "role": "worker", "environment": "production", "redaction": rules}
            task_id = f"task{rules}"
            records = encode_record(["origin", boot, T, facts]) + encode_record(
                ["failed", "celery", task_id, 0, T, f"{boot}.1", "shop.ship", "work", *ended, None]
            )
            await of.store.write(partial(apply_batch, app_id=1, payload=records, at=T + SECOND))
            [(error,)] = await of.store.fetch_all("SELECT error FROM task WHERE task_id = :id", {"id": task_ids.encode(task_id)})
            assert error == told


def test_a_value_opens_only_in_its_place(tmp_path: Path) -> None:
    seal = Seal(tmp_path)
    closed = seal.close({"a": CANARY}, "command 1")
    assert CANARY not in closed
    assert Seal(tmp_path).open(closed, "command 1") == {"a": CANARY}
    with pytest.raises(StoreError):
        seal.open(closed, "command 2")
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


async def test_a_text_by_position_of_an_unknown_task_is_masked_everywhere(tmp_path: Path) -> None:
    """APScheduler's functions are not reported as tasks: nobody here knows what stands in which place."""
    async with house(tmp_path) as of:
        of.agent()
        made = await run(of, args=["ada", "correct horse", 7, {"colour": "red"}], kwargs={})
        assert made.params["args"] == [MASK, MASK, 7, {"colour": "red"}]
        assert of.sent[-1]["params"]["args"] == ["ada", "correct horse", 7, {"colour": "red"}]
        edit: JsonObject = {"args": {"0": "correct horse", "1": 5}, "kwargs": {"colour": "red"}}
        shown, sealed = await of.store.write(lambda db: operator_input.close_params(db, "c1", 1, {"edit": edit}, "shop.unknown"))
        assert shown == {"edit": {"args": {"0": MASK, "1": 5}, "kwargs": {"colour": "red"}}}
        assert sealed
        id = await of.make(args=["correct horse"], kwargs={})
        assert json.loads((await of.row(id)).args) == [MASK]
        await of.desk.edit(Person(), await of.row(id), schedule_request(args=["correct horse battery"], kwargs={}))
        assert "horse" not in str([edit.changes for edit in await schedules.list_edits(of.store, await of.row(id))])
        await of.go(61)
        assert of.sent[-1]["params"]["args"] == ["correct horse battery"]
