# SPDX-License-Identifier: AGPL-3.0-or-later
"""An app with a connected worker, some tasks and hostile names, in front of a signed-in administrator: for the tests of pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, life, origin, task
from tests.support.site import Site, site
from tests.unit.agents.test_audit_witnesses import HELLO
from z4j import clock
from z4j.agents.connections import AgentLink
from z4j.agents.ingest import ingest_batch
from z4j.store.fleet import agents
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app
from z4j.wire.frames import Discovery, Hello, QueueItem, TaskItem, WorkerFacts, decode_frame
from z4j_agent import wire

EVIL = '<b onclick="x">&'
ABLE = (
    "retry_task", "cancel_task", "run_task", "peek_queue", "purge_queue", "pause_queue", "resume_queue", "shutdown_worker",
)  # fmt: skip


class Shop(Site):
    """`frames` are what the worker was sent."""

    frames: list[dict[str, Any]]

    def tell(self, *records: list[Any]) -> None:
        self.call(ingest_batch, self.server.store, 1, b"".join(map(wire.encode_record, [origin(), *records])), at=T + 3_600 * SECOND)

    def join(self, boot: str = "b9", worker: str = "w1", **facts: Any) -> None:
        """A worker connects, and reports its queue and its task."""
        able = [["celery", action, "worker", "exact", [], ""] for action in ABLE]
        told: dict[str, Any] = {"boot": boot, "spool": boot, "worker": worker, "at": clock.now(), "capabilities": able, "allow": "all"}
        hello = decode_frame(json.dumps(HELLO | told | facts))
        assert isinstance(hello, Hello)
        found = Discovery(
            "celery", [TaskItem("shop.ship", "(order, *, fast=False)")], [QueueItem("work", 3)], WorkerFacts(worker, queues=["work"])
        )
        at = clock.now()
        self.write(lambda db: agents.record_hello(db, 1, hello, at, 0) and None)
        self.write(lambda db: agents.record_discovery(db, 1, boot, found, at))
        self.server.hub.connect(
            AgentLink(
                1, boot, boot, "worker", worker, "all", frozenset(), "", True, self.frames.append, lambda code, why: None,
                {("celery", action): "worker" for action in ABLE}, "production", {"celery": frozenset({"work"})},
            )
        )  # fmt: skip

    def become(self, name: str) -> None:
        """Signs in as somebody else: olga is an operator, otto an auditor, vera a viewer."""
        self.forget()
        assert self.sign_in(name).status_code == 303

    def actions(self) -> list[str]:
        return [frame["action"] for frame in self.frames]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A server with an app that has never reported anything."""
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        shop = Shop(made.server, made.client)
        shop.frames = []
        shop.call(connect_app, shop.server.store, "shop", "h", "test")
        for name, role in (("ada", "admin"), ("olga", "operator"), ("otto", "auditor"), ("vera", "viewer")):
            shop.add_user(name, role)
        shop.enter()
        yield shop
        clock.use()


@pytest.fixture
def shop(empty: Shop) -> Shop:
    """Three failed tasks (ids 1 to 3), one that succeeded and one that waits; their queue is `work`, the last one's name is hostile."""
    kept = [task("payload", f"f{number}", T, 2, '[1, "a"]', False, [None, "AHt9"], "plain") for number in range(3)]
    failed = [record for number in range(3) for record in life(f"f{number}", T + number * SECOND, "failed")]
    empty.tell(*failed, *kept, *life("good", T + 5 * SECOND), task("enqueued", "waits", T + 9 * SECOND, name=EVIL))
    empty.join()
    return empty
