# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each incident with a real server: Now does not name it before, names it among its first three findings within a minute, calls a
webhook once, leads to where to act, and no longer names it when its cause is gone, which the webhook hears once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.incidents.incidents import INCIDENTS, Incident
from tests.incidents.traffic import SECOND
from tests.incidents.week import Week
from tests.incidents.world import FAST_S, FIRST, STEP_S, Found, World, world
from tests.support.endpoints import Endpoint, endpoint
from tests.support.stack import wait_for

WITHIN_S = 60
FAR_S = 300
"""How long a finding is waited for, so that one that is late is reported with its time."""


@pytest.mark.browser
@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda kind: kind.__name__)
def test_now_names_it_and_leads_to_where_to_act(
    incident: type[Incident], week: Week, browser: Browser, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    of_it = incident()

    def is_over() -> bool:
        return running.find(of_it.kinds, of_it.subject) is None

    with endpoint() as pager, world(tmp_path, week) as running:
        running.pass_time(30)
        of_it.prepare(running)
        assert is_over(), running.titles
        running.call(pager.url, of_it.kinds)
        of_it.begin(running)
        while not of_it.has_begun(running):
            running.pass_time(STEP_S)
        began = running.now
        found = _wait_for(running, of_it)
        seconds = (running.checked_at - began) / SECOND
        record_property("seconds_to_finding", round(seconds))
        print(f"{incident.__name__}: {found.fields['kind']} after {seconds:.0f} s, place {found.place + 1}: {found.fields['title']}")
        assert seconds <= WITHIN_S
        assert found.place < FIRST, running.titles
        _hear(pager, found, "fired")
        _act(running, browser, of_it, found)
        of_it.end(running)
        ended = running.now
        assert running.pass_time(of_it.over_s, is_over, step_s=FAST_S), running.titles
        print(f"{incident.__name__}: over after {(running.checked_at - ended) / SECOND:.0f} s")
        _hear(pager, found, "resolved")
        ids = [body["id"] for body in pager.bodies]
        assert len(ids) == len(set(ids)), "every message arrives once"


def _hear(pager: Endpoint, found: Found, kind: str) -> None:
    """Waits for the message about a finding, of which there is one."""

    def heard() -> list[dict[str, Any]]:
        of_app = [body for body in pager.bodies if body["kind"] == kind and body["app"] in ("", found.fields["app"])]
        return [body for body in of_app if any(_alike(found.fields["title"]).fullmatch(each["title"]) for each in body["findings"])]

    assert len(wait_for(heard, what=f"the message that it {kind}")) == 1, pager.bodies


def _alike(title: str) -> re.Pattern[str]:
    """Matches titles of the same finding: its numbers and its place change while it lasts."""
    return re.compile(r"[\d.,]+".join(map(re.escape, re.split(r"[\d.,]+", title))))


def _wait_for(running: World, of_it: Incident) -> Found:
    for _ in range(FAR_S // STEP_S):
        running.pass_time(STEP_S)
        if (found := running.find(of_it.kinds, of_it.subject)) is not None:
            return found
        of_it.go_on(running)
    pytest.fail(f"not found within {FAR_S} s; found: {running.titles}")


def _act(running: World, browser: Browser, of_it: Incident, found: Found) -> None:
    """One click on Now."""
    context = browser.new_context(base_url=running.stack.address, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": name, "value": value, "url": running.stack.address} for name, value in running.cookies.items()])
    try:
        page = context.new_page()
        page.goto("/")
        rows = page.locator("section[aria-label=Findings] li.finding")
        row = rows.filter(has_text=_alike(found.fields["title"])).first
        expect(row).to_be_visible()
        assert found.action.startswith(of_it.leads_to), found.action
        row.locator("a.btn").click()
        expect(page.locator("main").locator(of_it.shows).first).to_be_visible()
    finally:
        context.close()
