# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the outbox does with one command: who gets it and when, what its owner receives, and what is written before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import BOOT, SECOND, T, database, life, origin, task
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Cause, Chosen, Owner, Refused
from z4j.agents.command_results import Answer
from z4j.agents.connections import AgentLink, Hub, Need
from z4j.agents.ingest import ingest_batch
from z4j.agents.outbox import NO_ORIGINAL, Outbox
from z4j.duty_loop import Duties
from z4j.rules.command_ids import CommandId, Kind
from z4j.store.fleet import agents
from z4j.store.operations.value_encryption import SealError
from z4j.store.sqlite.db import Connection, Store
from z4j.wire.frames import Discovery, Hello, TaskItem
from z4j_agent import wire

pytestmark = pytest.mark.anyio
ABLE = ("run_task", "cancel_task", "retry_task")


class Errands(Owner):
    """Commands that are kept in a list, as an owner may keep them anywhere."""

    kind: Kind = "command"

    def __init__(self) -> None:
        self.open: list[OutgoingCommand] = []
        self.late: list[OutgoingCommand] = []
        self.copies: list[OutgoingCommand] = []
        self.unreadable: set[CommandId] = set()
        self.ended_meanwhile: set[CommandId] = set()
        self.marked: list[tuple[CommandId, str]] = []
        self.refused: list[Refused] = []
        self.was_sent: list[CommandId] = []
        self.answers: list[Answer] = []

    async def list_open(self, app_id: int, at: int) -> list[OutgoingCommand]:
        return [command for command in self.open if command.need.app_id == app_id]

    async def list_waiting(self, app_id: int, at: int) -> list[OutgoingCommand]:
        return [command for command in self.late if command.need.app_id == app_id]

    async def list_copies(self, link: AgentLink, at: int) -> list[OutgoingCommand]:
        return [replace(command, id=replace(command.id, process=link.boot)) for command in self.copies]

    async def complete(self, command: OutgoingCommand) -> OutgoingCommand:
        if command.id in self.unreadable:
            raise SealError("it cannot be decrypted")
        return replace(command, params={**command.params, "is_complete": True})

    def mark(self, db: Connection, chosen: Sequence[Chosen], refused: Sequence[Refused], at: int) -> set[CommandId]:
        self.marked += [(each.command.id, each.link.spool) for each in chosen if each.command.id not in self.ended_meanwhile]
        self.refused += refused
        return {each.command.id for each in chosen} - self.ended_meanwhile

    def sent(self, chosen: Chosen) -> None:
        self.was_sent.append(chosen.command.id)

    async def answered(self, app_id: int, answers: Sequence[Answer]) -> None:
        self.answers += answers


@dataclass
class Site:
    store: Store
    hub: Hub
    outbox: Outbox
    errands: Errands
    frames: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Boot of an agent → what it was sent."""

    def link(self, boot: str, spool: str, **changes: Any) -> AgentLink:
        """An agent that connects, without a word of the outbox about it."""
        frames = self.frames.setdefault(boot, [])
        able = {("celery", action): "worker" for action in ABLE}
        made = AgentLink(
            1, boot, spool, "worker", boot, "all", frozenset(), "", True, frames.append, lambda code, why: None, able, "production"
        )
        made = replace(made, **changes)
        self.hub.connect(made)
        return made

    def ids(self, boot: str) -> list[str]:
        return [frame["id"] for frame in self.frames[boot]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with database(tmp_path) as store:
        hub, errands = Hub(), Errands()
        outbox = Outbox(store, hub)
        outbox.register(errands)
        yield Site(store, hub, outbox, errands)


def command(owner: str, action: str = "run_task", **changes: Any) -> OutgoingCommand:
    need = Need(1, "celery", action, "production")
    return replace(OutgoingCommand(CommandId("command", owner), need, T + 900 * SECOND, {"name": "shop.ship"}), **changes)


async def test_what_is_marked_is_sent_at_once_and_its_owner_is_told(site: Site) -> None:
    site.link("one", "f1")
    [sent] = await site.outbox.deliver(site.errands, [command("a")], T)
    assert sent.command.id.text == "command.a"
    assert site.errands.marked == [(CommandId("command", "a"), "f1")]
    assert site.errands.was_sent == [CommandId("command", "a")]
    [frame] = site.frames["one"]
    assert (frame["id"], frame["params"]["is_complete"]) == ("command.a", True)


async def test_what_ended_while_it_was_prepared_is_not_sent(site: Site) -> None:
    site.link("one", "f1")
    site.errands.ended_meanwhile = {CommandId("command", "a")}
    sent = await site.outbox.deliver(site.errands, [command("a"), command("b")], T)
    assert [each.command.id.owner for each in sent] == ["b"]
    assert site.ids("one") == ["command.b"]
    assert site.errands.was_sent == [CommandId("command", "b")]


async def test_the_mark_is_on_the_disk_before_the_frame_leaves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[bool, int]] = []
    write = site.store.write

    async def watched(work: Any, *, durable: bool = False) -> Any:
        result = await write(work, durable=durable)
        written.append((durable, len(site.frames["one"])))
        return result

    monkeypatch.setattr(site.store, "write", watched)
    site.link("one", "f1")
    await site.outbox.deliver(site.errands, [command("a")], T)
    assert written == [(True, 0)], "durable, and nothing has left before"


async def test_what_no_agent_can_do_waits_without_a_transaction(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unexpected(work: Any, *, durable: bool = False) -> Any:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(site.store, "write", unexpected)
    assert await site.outbox.deliver(site.errands, [command("a")], T) == []
    assert site.errands.refused == []


async def test_what_cannot_be_decrypted_is_refused_and_the_rest_is_sent(site: Site) -> None:
    site.link("one", "f1")
    site.errands.unreadable = {CommandId("command", "a")}
    await site.outbox.deliver(site.errands, [command("a"), command("b")], T)
    assert [(each.command.id.owner, each.cause, each.reason) for each in site.errands.refused] == [
        ("a", Cause.NO_KEY, "it cannot be decrypted")
    ]
    assert site.ids("one") == ["command.b"]


async def test_a_task_whose_message_was_deleted_is_refused(site: Site) -> None:
    site.link("one", "f1")
    await site.outbox.deliver(site.errands, [command("a", "retry_task", task=999)], T)
    assert [(each.cause, each.reason) for each in site.errands.refused] == [(Cause.NO_ORIGINAL, NO_ORIGINAL)]
    assert NO_ORIGINAL == "its original was deleted before the command was sent"
    assert site.frames["one"] == []


async def test_a_retry_is_sent_with_the_kept_message_of_its_task(site: Site) -> None:
    site.link("one", "f1")
    records = [origin(BOOT), *life("t", T, "failed"), task("payload", "t", T, 2, "[]", False, [None, "AHt9"], "plain")]
    await ingest_batch(site.store, 1, b"".join(map(wire.encode_record, records)), at=T)
    [(row,)] = await site.store.fetch_all("SELECT id FROM task")
    await site.outbox.deliver(site.errands, [command("a", "retry_task", task=row)], T)
    assert site.frames["one"][0]["params"]["original"]


async def test_the_proofs_of_its_task_name_go_with_a_command_that_runs_one(site: Site) -> None:
    link = site.link("one", "f1")
    hello = Hello(1, "0.1.0", "one", "f1", "h", 7, "worker", "production", {"celery": "5.7"}, [], "all", [], True, T, "one")
    found = Discovery("celery", [TaskItem("shop.ship", proof="k1.aa"), TaskItem("shop.bill", proof="k1.bb")], [])
    await site.store.write(lambda db: agents.record_hello(db, 1, hello, T, 0))
    await site.store.write(lambda db: agents.record_discovery(db, 1, "one", found, T))
    await site.outbox.deliver(site.errands, [command("a", task_name="shop.ship"), command("b")], T)
    site.errands.open = [command("again", task_name="shop.bill", spool="f1")]
    await site.outbox.agent_connected(link)
    first, second, again = site.frames["one"]
    assert (first["params"]["proofs"], again["params"]["proofs"]) == ({"celery": "k1.aa"}, {"celery": "k1.bb"})
    assert "proofs" not in second["params"]


async def test_a_refusal_is_left_to_owners_that_want_it(site: Site) -> None:
    """Where no agent is connected, a command waits or is refused as its owner says."""
    site.errands.is_refused_without_agent = True
    await site.outbox.deliver(site.errands, [command("a")], T)
    [refused] = site.errands.refused
    assert (refused.cause, "agent with this capability is connected" in refused.reason) == (Cause.NO_AGENT, True)


async def test_a_cancellation_reaches_every_other_spool_folder_as_a_copy(site: Site) -> None:
    for boot, spool in (("one", "f1"), ("two", "f1"), ("three", "f2"), ("four", "f3")):
        site.link(boot, spool)
    site.link("anywhere", "f4", capabilities={("celery", "cancel_task"): "any"})
    await site.outbox.deliver(site.errands, [command("a", "cancel_task"), command("b")], T)
    by_id: dict[str, list[str]] = {}
    for boot, frames in site.frames.items():
        for frame in frames:
            by_id.setdefault(frame["id"], []).append(boot)
    whole = by_id.pop("command.a")
    assert len(whole) == 1
    assert len(by_id.pop("command.b")) == 1, "what is no cancellation has no copies"
    spools = {"one": "f1", "two": "f1", "three": "f2", "four": "f3", "anywhere": "f4"}
    copies = {id.partition(":")[2] for id in by_id}
    assert {id.partition(":")[0] for id in by_id} == {"command.a"}
    assert {spools[boot] for boot in copies} == {"f1", "f2", "f3"} - {spools[whole[0]]}
    assert all([id.partition(":")[2]] == boots for id, boots in by_id.items()), "each to the process it names"


async def test_an_agent_that_connects_gets_what_waits_and_what_its_folder_has_and_the_copies_last(site: Site) -> None:
    site.errands.open = [command("theirs", spool="f2"), command("its", spool="f1"), command("waits")]
    site.errands.copies = [command("copy")]
    await site.outbox.agent_connected(site.link("one", "f1"))
    assert site.ids("one") == ["command.waits", "command.its", "command.copy:one"]
    assert site.errands.marked == [(CommandId("command", "waits"), "f1")], "what was handed over is sent again as it is"


async def test_what_a_folder_has_is_sent_again_to_those_it_concerns_only(site: Site) -> None:
    site.errands.open = [command("its", spool="f1"), command("task", "retry_task", task=999, spool="f1")]
    site.errands.copies = [command("copy")]
    unfit: dict[str, dict[str, Any]] = {
        "elsewhere": {"environment": "staging"}, "unable": {"capabilities": {}}, "plain": {"is_secure": False},
    }  # fmt: skip
    for boot, changes in unfit.items():
        await site.outbox.agent_connected(site.link(boot, "f1", **changes))
        assert site.ids(boot) == []
    await site.outbox.agent_connected(site.link("producer", "f1", role="producer"))
    assert site.ids("producer") == ["command.its"], "a copy is for workers; a message that was deleted cannot be sent"


async def test_another_worker_of_the_folder_does_not_get_what_names_one(site: Site) -> None:
    site.errands.open = [command("its", spool="f1", need=Need(1, "celery", "run_task", "production", worker="one"))]
    await site.outbox.agent_connected(site.link("two", "f1"))
    await site.outbox.agent_connected(site.link("one", "f1"))
    assert (site.ids("two"), site.ids("one")) == ([], ["command.its"])


async def test_brokers_that_are_learned_later_get_what_waits_and_nothing_again(site: Site) -> None:
    site.errands.open = [command("its", spool="f1"), command("waits")]
    site.errands.copies = [command("copy")]
    await site.outbox.brokers_learned(site.link("one", "f1"))
    assert site.ids("one") == ["command.waits", "command.copy:one"]


async def test_what_could_not_be_sent_is_tried_again_for_each_app_that_is_connected(site: Site) -> None:
    site.errands.late = [command("late")]
    assert await site.outbox.retry(T) == 0, "nobody is connected"
    site.link("one", "f1")
    assert await site.outbox.retry(T) == 1
    assert site.ids("one") == ["command.late"]


async def test_what_is_kept_in_memory_is_sent_without_a_mark(site: Site) -> None:
    assert site.outbox.ask(command("a")) is None
    link = site.link("one", "f1")
    assert site.outbox.ask(command("a")) is link
    site.outbox.send_to(link, command("b"))
    assert site.ids("one") == ["command.a", "command.b"]
    assert site.errands.marked == []


async def test_an_answer_goes_to_the_owner_of_its_kind(site: Site) -> None:
    its, other = (Answer(CommandId(kind, "a"), "done", {}) for kind in ("command", "lookup"))
    await site.outbox.answered(1, [its, other])
    assert site.errands.answers == [its]


async def test_duties_are_those_of_the_server(site: Site) -> None:
    duties = Duties()
    outbox = Outbox(site.store, site.hub, duties)
    outbox.register(site.errands)
    await outbox.answered(1, [Answer(CommandId("command", "a"), "done", {})])
    assert [duty.name for duty in duties.all()] == ["answers to command"]


async def test_a_second_owner_of_a_kind_is_named_in_the_error(site: Site) -> None:
    with pytest.raises(ValueError, match="commands of the kind command have an owner already"):
        site.outbox.register(Errands())
