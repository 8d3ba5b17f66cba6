# SPDX-License-Identifier: AGPL-3.0-or-later
"""A schedule of z4j's own names the broker that its tasks are made in: its fires go to agents of that broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.scheduling import House, Person, house, schedule_request
from z4j.agents.connections import AgentLink
from z4j.exceptions import BadInput
from z4j.store.fleet import agents
from z4j.wire.frames import Discovery, Hello, QueueItem

pytestmark = pytest.mark.anyio
A, B = "redis://a:6379/0", "redis://a:6379/1"


async def agent(of: House, boot: str, brokers: dict[str, str], spool: str = "s1") -> AgentLink:
    link = of.agent(boot, spool=spool)
    link.brokers = {"celery": brokers} if brokers else {}
    link.send = lambda frame: of.sent.append(frame | {"to": boot})
    hello = Hello(1, "0.1.0", boot, spool, "h", 7, "worker", "production", {"celery": "5"}, [], "all", [], True, of.at, boot)
    found = Discovery("celery", [], [QueueItem("work", 1, broker=broker) for broker in brokers])
    await of.store.write(lambda db: agents.record_hello(db, 1, hello, of.at, 0))
    await of.store.write(lambda db: agents.record_discovery(db, 1, boot, found, of.at))
    return link


def sent(of: House) -> list[tuple[str, str]]:
    """(process, broker) of each fire since the last time."""
    found = [(frame["to"], frame["params"].get("broker", "")) for frame in of.sent]
    of.sent.clear()
    return found


async def test_a_fire_goes_to_an_agent_of_its_broker(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await agent(of, "a", {A: ""})
        await agent(of, "b", {B: ""})
        id = await of.make(broker=B)
        await of.make(name="other", broker=A)
        assert (await of.row(id)).broker == B
        await of.go(60)
        assert sorted(sent(of)) == [("a", A), ("b", B)]
        await of.desk.fire(Person(), await of.row(id))
        assert sent(of) == [("b", B)], "also when it is run now"


async def test_a_fire_waits_for_its_broker_and_is_not_sent_again_elsewhere(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make(broker=B, catch_up="once")
        link = await agent(of, "a", {A: ""})
        await of.go(60)
        await of.outbox.agent_connected(link)
        assert (sent(of), await of.outcomes(id)) == ([], [(60, "waiting")])
        late = await agent(of, "late", {})
        late.brokers = {"celery": {A: ""}}
        of.hub.learn_brokers(late, "celery", {A: "", B: ""})
        await of.outbox.brokers_learned(late)
        assert sent(of) == [("late", B)]
        for boot, brokers, expected in (("a2", {A: ""}, []), ("b2", {B: ""}, [("b2", B)]), ("old", {}, [("old", "")])):
            await of.outbox.agent_connected(await agent(of, boot, brokers))
            assert sent(of) == expected, "an agent that reports no broker may have any"


async def test_a_broker_is_known_by_its_other_names(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await agent(of, "named", {"cache": "print"})
        await agent(of, "b", {B: "other"})
        gone = await agent(of, "a", {A: "print"})
        await of.make(broker=A)
        gone.capabilities = {}
        await of.go(60)
        assert sent(of) == [("named", "cache")]


async def test_a_schedule_without_a_broker_fires_as_before(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        await agent(of, "a", {A: ""})
        await of.make()
        await agent(of, "b", {B: ""})
        await of.go(60)
        assert len(found := sent(of)) == 1
        assert found[0][1] == ""


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, f"the queue exists in {A}, {B}"),
        ({"broker": "redis://c:6379/0"}, "No connected agent uses"),
        ({"broker": "x" * 256}, "at most 255"),
    ],
)
async def test_a_broker_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    async with house(tmp_path) as of:
        for boot, brokers in (("a", {A: ""}), ("b", {B: ""})):
            await agent(of, boot, brokers)
        with pytest.raises(BadInput, match=word):
            await of.make(**changes)
        id = await of.make(queue="")
        with pytest.raises(BadInput, match=word):
            await of.desk.edit(Person(), await of.row(id), schedule_request(**changes))
        assert (await of.row(id)).queue == ""


async def test_what_was_made_before_the_upgrade_can_still_be_edited(tmp_path: Path) -> None:
    async with house(tmp_path) as of:
        id = await of.make()
        for boot, brokers in (("a", {A: ""}), ("b", {B: ""})):
            await agent(of, boot, brokers)
        await of.desk.edit(Person(), await of.row(id), schedule_request(name="renamed"))
        assert (await of.row(id)).name == "renamed"
        await of.desk.edit(Person(), await of.row(id), schedule_request(name="renamed", broker=A))
        assert (await of.row(id)).broker == A
