# SPDX-License-Identifier: AGPL-3.0-or-later
"""One command of an operator: who may ask for it, what is stored and audited, and which agent gets it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, origin, task, tell
from tests.support.scheduling import NOON, House, Person, house
from z4j.agents.connections import Need
from z4j.exceptions import AgentGone, NotAllowed, Unsupported, WrongState, Z4jError
from z4j.operations.commands import UNSENT_US, CommandRequest
from z4j.store.tasks.tasks import TaskDetail, get_task

pytestmark = pytest.mark.anyio
TASK = {("celery", action): "any" for action in ("cancel_task", "retry_task", "move_task")}
EVERYWHERE = {("celery", "pause_queue"): "worker"}


async def queued(of: House, task_id: str = "t") -> TaskDetail:
    await tell(of.store, origin(), task("enqueued", task_id, NOON))
    found = await get_task(of.store, 1)
    assert found is not None
    return found


async def audit(of: House) -> list[tuple[str, str, dict[str, Any]]]:
    rows = await of.store.fetch_all("SELECT action, outcome, detail FROM audit ORDER BY seq")
    return [(action, outcome, json.loads(detail)) for action, outcome, detail in rows]


async def stored(of: House) -> list[tuple[str, str]]:
    return await of.store.fetch_all("SELECT action, status FROM command ORDER BY created_at")


async def test_a_command_is_stored_audited_and_sent_to_one_agent(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent("one", TASK)
        of.agent("two", TASK)
        row = await of.dispatch.ask(Person(), "cancel_task", await queued(of), "<b>wrong order</b>")
        assert [(frame["action"], frame["params"]["task_id"]) for frame in of.sent] == [("cancel_task", "t")]
        assert of.sent[0]["id"] == f"command.{row.id}"
        assert await stored(of) == [("cancel_task", "sent")]
        [(action, outcome, detail)] = await audit(of)
        assert (action, outcome, detail["command"], detail["reason"]) == ("cancel_task", "done", row.id, "<b>wrong order</b>")
        again = await get_task(of.store, 1)
        assert again is not None
        assert again.row.cancel_asked_at == NOON


@pytest.mark.parametrize(
    ("role", "action", "able", "error"),
    [
        ("viewer", "cancel_task", TASK, NotAllowed),
        ("operator", "retry_task", TASK, WrongState),
        ("operator", "launch_rocket", TASK, Unsupported),
        ("operator", "cancel_task", {}, AgentGone),
        ("operator", "cancel_task", {("rq", "cancel_task"): "any"}, AgentGone),
    ],
    ids=["role", "state", "unknown action", "no capability", "another engine"],
)
async def test_what_cannot_be_done_is_refused_audited_and_not_stored(
    tmp_path: Path, role: str, action: str, able: dict[tuple[str, str], str], error: type[Z4jError]
) -> None:
    async with house(tmp_path) as of:
        of.agent("one", able)
        with pytest.raises(error):
            await of.dispatch.ask(Person(role), action, await queued(of))
        assert of.sent == []
        assert await stored(of) == []
        [(audited, outcome, detail)] = await audit(of)
        assert (audited, outcome) == (action, "refused")
        assert detail["why"]


async def test_a_long_reason_is_cut_and_arguments_are_not_audited(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent("one", {("celery", "run_task"): "any"})
        need = Need(1, "celery", "run_task", "production", queue="work")
        command_request = CommandRequest(
            need, "name shop.ship", {"name": "shop.ship", "args": ["hunter2"], "queue": "work"}, reason="x" * 900
        )
        [row] = await of.dispatch.submit(Person(), command_request)
        assert len(row.reason) == 500
        assert of.sent[0]["params"]["args"] == ["hunter2"]
        assert of.sent[0]["params"]["new_id"] == row.params["new_id"]
        assert "hunter2" not in json.dumps(await audit(of))


async def test_a_pause_is_asked_of_every_worker_of_its_environment(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        for boot, environment in (("one", "production"), ("two", "production"), ("three", "staging")):
            of.agent(boot, EVERYWHERE, environment, spool=boot)
        command_request = CommandRequest(
            Need(1, "celery", "pause_queue", "production", queue="work"), "queue celery:work", {"queue": "work"}
        )
        rows = await of.dispatch.submit(Person(), command_request)
        assert len(rows) == len(of.sent) == 2
        assert len({row.id for row in rows}) == 2
        [(_, _, detail)] = await audit(of)
        assert detail["workers"] == 2


async def test_a_page_offers_what_the_state_allows_with_the_reason_where_it_cannot_be_done(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent("one", {("celery", "cancel_task"): "any"})
        detail = await queued(of)
        offered = {offer.action: offer for offer in await of.dispatch.offers("operator", detail)}
        assert offered["cancel_task"].is_allowed
        assert not offered["move_task"].is_allowed
        assert offered.keys().isdisjoint({"retry_task", "terminate_task", "lookup_task"})
        assert not any(offer.is_allowed for offer in await of.dispatch.offers("viewer", detail))
        gone = dataclasses.replace(detail, row=dataclasses.replace(detail.row, environment="staging"))
        assert not any(offer.is_allowed for offer in await of.dispatch.offers("operator", gone))


async def test_a_command_that_waits_is_sent_later_and_one_whose_time_is_over_ends(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        of.agent("one", TASK)
        row = await of.dispatch.ask(Person(), "cancel_task", await queued(of))
        await of.store.write(lambda db: db.execute("UPDATE command SET status = 'waiting', spool = '', sent_at = NULL").rowcount)
        assert await of.dispatch.list_waiting(1, NOON + UNSENT_US) == []
        assert [found.id.owner for found in await of.dispatch.list_waiting(1, NOON + UNSENT_US + 1)] == [row.id]
        assert await of.dispatch.list_waiting(2, NOON + 2 * UNSENT_US) == []
        await of.dispatch.expire(row.expires_at - SECOND)
        assert await stored(of) == [("cancel_task", "waiting")]
        await of.dispatch.expire(row.expires_at + SECOND)
        assert await stored(of) == [("cancel_task", "expired")]
