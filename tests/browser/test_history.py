# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a task to the history of its name, and from a bar to the tasks behind it, with the pointer and with the keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site

pytestmark = pytest.mark.browser


def test_a_task_leads_to_the_history_of_its_name_and_a_bar_to_tasks(site: Site) -> None:
    with site.page("/tasks?name=billing.charge") as page:
        row = page.locator("tbody tr").first
        row.hover()
        row.locator("a.about").click()
        page.wait_for_url(re.compile(r"/names/billing\.charge"))
        expect(page.locator("h1")).to_have_text("billing.charge")
        page.get_by_role("link", name="24 h", exact=True).click()
        page.wait_for_url(re.compile(r"range=24h"))
        bar = page.locator("figure.histogram a[href*='ran']").first
        href = bar.get_attribute("href")
        assert href is not None
        assert "ran:%3E%3D" in href
        assert page.goto(href)
        expect(page.locator("h1")).to_have_text("Tasks")


def test_the_keyboard_reaches_ranges_and_tasks(site: Site) -> None:
    with site.page("/names/billing.charge") as page:
        chip = page.get_by_role("link", name="7 d", exact=True)
        chip.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"range=7d"))
        page.keyboard.press("t")
        page.wait_for_url(re.compile(r"/tasks\?name=billing\.charge"))
