# SPDX-License-Identifier: AGPL-3.0-or-later
"""A server with a channel, a rule and an alert, whose finding has a hostile name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.operations.alerts.examples import EMAILS, at
from tests.unit.rules.alerts.examples import finding
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock
from z4j.rules.findings.finding import Finding


def fire(shop: Shop, *found: Finding, time: int | None = None) -> None:
    shop.call(shop.server.alerts.round, found, time or clock.now())


HOSTILE = replace(at(finding(subject=EVIL)), title=f"Task {EVIL} fails", text=EVIL)


@pytest.fixture
def called(shop: Shop) -> Shop:
    assert shop.post("/alerts/channels", name="hook", kind="webhook", url="https://hooks.example/canary-secret").status_code == 303
    assert shop.post("/alerts/rules/new", name="everything", severity="critical", **{"channel:1": "yes"}, cooldown_s="0").status_code == 303
    fire(shop, EMAILS, HOSTILE)
    return shop
