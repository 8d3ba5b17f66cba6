# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pages that are open: news arrive by themselves, wait where they would move what is read, and leave what is typed alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, press

pytestmark = pytest.mark.browser


def test_new_tasks_wait_behind_a_count_and_nothing_moves(site: Site) -> None:
    with site.page("/tasks") as page:
        first = page.locator("tbody tr").first.get_attribute("id")
        succeeded = page.locator("[data-facet-state=succeeded] .n")
        before = int(re.sub(r"\D", "", succeeded.inner_text()))
        page.evaluate("window.shifted = 0")
        for _ in range(3):
            site.shop.task(site.shop.workers[0], "succeeded")
        expect(page.locator(".waiting")).to_contain_text("3 new")
        expect(succeeded).to_have_text(str(before + 3))
        assert page.locator("tbody tr").first.get_attribute("id") == first
        assert page.evaluate("window.shifted") <= 0.02
        page.locator(".waiting").click()
        expect(page.locator(".waiting")).to_have_count(0)
        assert page.locator("tbody tr").first.get_attribute("id") != first


def test_a_row_changes_in_place(site: Site) -> None:
    site.shop.task(site.shop.workers[0], "queued")
    with site.page("/tasks?state=queued") as page:
        expect(page.locator("tbody tr").first).to_contain_text("queued")
        total = page.locator("#summary").inner_text()
        site.shop.task(site.shop.workers[1], "queued")
        expect(page.locator("#summary")).not_to_have_text(total)


def test_typed_text_focus_and_open_folds_survive_refreshes(site: Site) -> None:
    with site.page("/tasks") as page:
        press(page, "/")
        page.keyboard.type("queue:em")
        page.locator(".facets summary").first.click()
        page.locator("input[name=q]").focus()
        for _ in range(3):
            site.shop.task(site.shop.workers[0], "failed")
            page.wait_for_timeout(700)
        expect(page.locator(".waiting")).to_contain_text("new")
        assert page.locator("input[name=q]").input_value() == "queue:em"
        assert page.evaluate("document.activeElement.name") == "q"
        assert page.locator(".facets details").first.get_attribute("open") is not None


def test_the_strip_and_the_page_of_a_task_refresh(site: Site) -> None:
    with site.page("/workers") as page:
        failed = page.locator(".strip a").nth(1)
        before = failed.inner_text()
        site.shop.task(site.shop.workers[0], "failed")
        expect(failed).not_to_have_text(before)


def test_an_open_page_of_a_task_shows_what_was_asked(site: Site) -> None:
    path = f"/tasks/{site.ids['failed']}"
    with site.page(path) as page, site.page(path) as other:
        other.get_by_role("button", name="Retry").click()
        expect(other.locator(".notice")).to_contain_text("Retry requested")
        expect(page.locator(".links").filter(has_text="Commands")).to_contain_text("retry by ada")
