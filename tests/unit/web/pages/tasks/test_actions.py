# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people ask of tasks is audited, also when it is refused; roles that may not ask never get that far."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.database import T, life, origin
from tests.support.site import Site, site
from z4j.agents.ingest import ingest_batch
from z4j.rules.commands import RULES
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app
from z4j_agent import wire


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        made.add_user("olga", "operator")
        made.add_user("vera", "viewer")
        made.call(connect_app, made.server.store, "shop", "h", "test")
        records = [origin(), *life("00000000-0000-4000-8000-000000000001", T, "failed")]
        made.call(ingest_batch, made.server.store, 1, b"".join(wire.encode_record(record) for record in records), at=T)
        yield made


@pytest.mark.parametrize("action", ["retry", "cancel", "terminate"])
def test_a_refused_action_is_told_and_audited_with_its_reason(shop: Site, action: str) -> None:
    shop.sign_in("olga")
    assert shop.post(f"/tasks/1/{action}", reason="because", confirm=RULES["terminate_task"].word).status_code == 303
    actor, name, target, outcome, detail = shop.audit()[-1]
    assert (actor, name, outcome) == ("olga", f"{action}_task", "refused")
    assert target == "celery:00000000-0000-4000-8000-000000000001"
    assert "No changes were made" in detail["why"]
    assert shop.call(shop.server.store.fetch_all, "SELECT id FROM command") == []


@pytest.mark.parametrize("action", ["retry", "cancel", "terminate"])
def test_a_viewer_may_not_ask(shop: Site, action: str) -> None:
    shop.sign_in("vera")
    before = len(shop.audit())
    assert shop.post(f"/tasks/1/{action}").status_code == 403
    assert [row[:4] for row in shop.audit()[before:]] == [("vera", "request", f"/tasks/1/{action}", "refused")]
