# SPDX-License-Identifier: AGPL-3.0-or-later
"""A worker and a Celery Beat that are connected, for the tests of schedules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import site
from tests.unit.operations.test_schedules import entry, listing
from tests.unit.web.pages.schedules.samples import SECOND
from z4j import clock
from z4j.agents.connections import AgentLink
from z4j.store.fleet import agents
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j.wire.frames import Discovery, Hello, TaskItem


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One app with a worker and a Celery Beat, both connected; somebody is signed in."""
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        store = made.server.store
        made.call(connect_app, store, "shop", "h", "test")
        at = clock.now()
        frames: list[dict[str, Any]] = []
        made.frames = frames  # type: ignore[attr-defined]
        for boot, role, able in (
            ("work", "worker", {("celery", "run_task"): "any"}),
            ("beat", "scheduler", {("celery_beat", action): "any" for action in ("apply_overrides", "fire_schedule")}),
        ):
            hello = Hello(1, "0.1.0", boot, boot, "h", 7, role, "production", {"celery": "5.7"}, [], "all", [], True, at, boot)
            made.call(store.write, lambda db, hello=hello: agents.record_hello(db, 1, hello, at, 0))
            link = AgentLink(
                1, boot, boot, role, boot, "all", frozenset(), "", True, frames.append, lambda code, why: None, able, "production"
            )
            made.server.hub.connect(link)
        found = Discovery("celery", [TaskItem("shop.ship", "(order, *, fast=False)")], [])
        made.call(store.write, lambda db: agents.record_discovery(db, 1, "work", found, at))
        told = listing(
            "celery_beat",
            entry("in-code", next_at=at + 600 * SECOND),
            entry("odd", kind="other", expression="at noon in Rome", next_at=None),
        )
        made.call(made.server.outbox.schedules_listed, link, told)
        made.tokens = {role: made.call(make_api_token, store, role, role, 1, "test")[1] for role in ("viewer", "operator")}  # type: ignore[attr-defined]
        made.add_user()
        made.enter()
        yield made
