# SPDX-License-Identifier: AGPL-3.0-or-later
"""Errors in a browser: found, resolved, seen to come back, retried; by keys, and without a script."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, press

pytestmark = pytest.mark.browser
TITLE = re.compile("ConnectionError")


def test_an_error_is_resolved_by_keys_and_comes_back(site: Site) -> None:
    with site.page("/errors?name=emails.send_campaign") as page:
        row = page.locator("tbody tr", has_text=TITLE).first
        expect(row).to_be_visible()
        id = row.get_attribute("data-row")
        press(page, "j", "x")
        expect(page.locator("[data-ticks]")).to_be_visible()
        press(page, "r")
        expect(page.locator(".notice")).to_contain_text("1 error changed")
        expect(page.locator(f"#error-{id}")).to_have_count(0)
        site.shop.task(site.shop.workers[0], "failed", which=0)
        expect(page.locator(f"#error-{id}")).to_contain_text("regressed", timeout=30_000)  # live
    with site.page(f"/errors/{id}") as page:
        expect(page.locator("h1")).to_have_text(TITLE)
        expect(page.locator(".trace").first).to_contain_text("raise ConnectionError")
        press(page, "s")
        page.get_by_role("button", name="Resolve in the next release").click()
        expect(page.locator(".who").first).to_contain_text("resolved in the next release")
        press(page, "u")
        expect(page.locator("header .st").first).to_contain_text("unresolved")


def test_a_group_is_retried_by_a_plan(site: Site) -> None:
    with site.page("/errors") as page:
        page.locator("tbody a.through").first.click()
        page.wait_for_url("**/errors/*")
        press(page, "r")
        page.get_by_role("button", name="Create plan").click()
        page.wait_for_url("**/plans/*")
        expect(page.locator("h1")).to_contain_text("Retry")


def test_everything_works_without_a_script(site: Site) -> None:
    with site.context(scripts=False) as context:
        page = context.new_page()
        page.goto("/errors")
        link = page.locator("tbody a.through").last
        path = str(link.get_attribute("href"))
        page.goto(path)
        page.locator("summary", has_text="Note").click()
        page.locator("textarea[name=note]").fill("known since May")
        page.locator("input[name=runbook]").fill("https://wiki.example/runbook")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".note")).to_have_text("known since May")
        page.locator("summary", has_text="Ignore").click()
        page.locator("select[name=for]").select_option("1d")
        page.locator(".sheet:visible button.go").click()
        expect(page.locator(".who").first).to_contain_text("ignored")
        page.get_by_role("button", name="Unignore").click()
        expect(page.locator("header .st").first).to_contain_text("unresolved")
