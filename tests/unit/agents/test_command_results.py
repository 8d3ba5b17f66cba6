# SPDX-License-Identifier: AGPL-3.0-or-later
"""An answer goes to the owner of its command, and to nobody else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.database import SECOND, T, database, tell
from tests.support.outbox_world import OLD_COMMAND, OLD_PLAN, world
from z4j.agents.command_results import STORED, Answer, Sender, settle
from z4j.rules.command_ids import KINDS
from z4j.store.sqlite.db import Store
from z4j.wire.records import CommandResult

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_what_a_copy_answers_is_not_the_answer_of_its_owner(tmp_path: Path) -> None:
    async with world(tmp_path, 0) as of:
        for id in (f"{OLD_COMMAND}.b00t", f"{OLD_PLAN}.1.b00t", f"command.{OLD_COMMAND}:b00t", f"plan_item.{OLD_PLAN}.1:b00t"):
            done = await tell(of.store, ["command", id, of.at, "done", {}])
            assert not done.answers
            assert not done.topics


async def test_an_agent_answers_the_commands_of_its_app_only(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(add_command)
        await tell(store, ["command", "c1", T, "done", {"task_id": "n"}], app_id=2)
        row = await store.fetch_one("SELECT status, ended_at FROM command")
        assert row is not None
        assert row == ("sent", None)


def add_command(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO command (id, app_id, engine, action, params, status, asked_by, created_at, expires_at)"
        " VALUES ('c1', 1, 'celery', 'retry_task', '{}', 'sent', 'ada', ?, ?)",
        (T, T + SECOND),
    )


# -- one answer ----------------------------------------------------------------------------------------------------------
HERE = Sender(1, "s1")


def said(id: str, status: str = "done", **facts: object) -> CommandResult:
    return CommandResult(id, T, status, facts)


async def settled(store: Store, sender: Sender, answer: CommandResult) -> tuple[Answer | None, frozenset[str]]:
    return await store.write(lambda db: settle(db, sender, answer))


async def add_sent(store: Store) -> None:
    """A command that was handed to the folder s1."""
    await store.write(add_command)
    await store.write(lambda db: db.execute("UPDATE command SET spool = 's1'").rowcount)


async def test_the_first_end_counts_and_the_same_answer_again_is_no_news(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await add_sent(store)
        answer, topics = await settled(store, HERE, said("c1", task_id="n"))
        assert answer is not None
        assert (answer.id.owner, answer.status, dict(answer.fields), answer.spool) == ("c1", "done", {"task_id": "n"}, "s1")
        assert topics == {"changes"}
        for again in (said("c1", task_id="n"), said("c1", "failed", error="late")):
            assert await settled(store, HERE, again) == (None, frozenset())
        assert await store.fetch_all("SELECT status FROM command") == [("done",)]


@pytest.mark.parametrize("sender", [Sender(1, "s2"), Sender(2, "s1"), Sender(2)], ids=["another folder", "another app", "no folder"])
async def test_only_the_folder_that_has_the_command_answers_it(tmp_path: Path, sender: Sender) -> None:
    async with database(tmp_path) as store:
        await add_sent(store)
        assert await settled(store, sender, said("c1")) == (None, frozenset())
        assert await store.fetch_all("SELECT status FROM command") == [("sent",)]


@pytest.mark.parametrize("id", ["", "command.", "<script>", "plan_item.zz.1", "fire.unknown", "c1:b00t", "nobody's"])
async def test_an_answer_that_is_nobodys_changes_nothing(tmp_path: Path, id: str) -> None:
    async with database(tmp_path) as store:
        await add_sent(store)
        assert await settled(store, HERE, said(id)) == (None, frozenset())
        assert await store.fetch_all("SELECT status FROM command") == [("sent",)]


async def test_kinds_that_are_kept_in_memory_go_to_their_owner_unstored(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for kind in KINDS:
            if kind in STORED:
                continue
            answer, topics = await settled(store, HERE, said(f"{kind}.abc.1", "refused"))
            assert answer is not None
            assert (answer.id.kind, answer.status, topics) == (kind, "refused", frozenset())
