# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every kind of command has an owner in a server, and an owner that says nothing of a question answers it with nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T, database
from tests.support.site import site
from tests.unit.agents.test_connections import link
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Chosen, Owner
from z4j.agents.connections import Hub, Need
from z4j.agents.outbox import Outbox
from z4j.rules.command_ids import KINDS, CommandId


class Plain(Owner):
    kind = "lookup"


COMMAND = OutgoingCommand(CommandId("lookup", "abc"), Need(1, "rq", "retry_task"), T + 1, {"task_id": "t"})


def test_a_server_has_an_owner_for_every_kind(tmp_path: Path) -> None:
    """An answer of a kind without one would be lost."""
    with site(tmp_path) as shop:
        for kind in KINDS:
            other = type("Other", (Owner,), {"kind": kind})()
            with pytest.raises(ValueError, match=kind):
                shop.server.outbox.register(other)


@pytest.mark.anyio
async def test_an_owner_has_nothing_to_send_unless_it_says_so(tmp_path: Path) -> None:
    plain, of = Plain(), link("w")
    assert await plain.list_open(1, T) == []
    assert await plain.list_waiting(1, T) == []
    assert await plain.list_copies(of, T) == []
    assert await plain.complete(COMMAND) is COMMAND
    assert not plain.is_refused_without_agent
    async with database(tmp_path) as store:
        hub = Hub()
        outbox = Outbox(store, hub)
        outbox.register(plain)
        hub.connect(of)
        await outbox.agent_connected(of)
        assert await outbox.retry(T) == 0


@pytest.mark.anyio
async def test_a_stored_command_is_not_sent_by_an_owner_that_cannot_mark_it(tmp_path: Path) -> None:
    """Nothing leaves unmarked: it could go to a second folder."""
    sent: list[object] = []
    async with database(tmp_path) as store:
        hub = Hub()
        hub.connect(link("w", send=sent.append))
        outbox = Outbox(store, hub)
        with pytest.raises(NotImplementedError):
            await outbox.deliver(Plain(), [COMMAND], T)
        assert sent == []
        with pytest.raises(NotImplementedError):
            await store.write(lambda db: Plain().mark(db, [Chosen(COMMAND, link("w"))], [], T))
