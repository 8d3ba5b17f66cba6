# SPDX-License-Identifier: AGPL-3.0-or-later
"""The query box and what belongs to it: a wrong word, completion, words, views, columns, two tasks side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, open_until, press
from tests.browser.test_pages import DESK, PHONE, serious_findings

pytestmark = pytest.mark.browser


def looked_at(page: Page, name: str, shot: Callable[[Page, str], None]) -> None:
    """In both themes, on a desk and on a phone: nothing scrolls sideways, and axe has nothing serious. Something that only this page has
    must have been waited for."""
    page.wait_for_load_state()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        for size in (DESK, PHONE):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            shot(page, f"{name}-{theme}-{size[0]}")
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert serious_findings(page) == []
    page.set_viewport_size({"width": DESK[0], "height": DESK[1]})


def test_a_wrong_word_is_pointed_at_and_mended(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.context() as context:
        page = context.new_page()
        page.goto("/tasks?q=" + quote("state:failed stat:lost since:24h"))
        expect(page.get_by_role("alert")).to_contain_text("Unknown field “stat”")
        expect(page.locator("mark")).to_have_text("stat")
        looked_at(page, "tasks-wrong-query", shot)
        box = page.get_by_label("Filter tasks")
        expect(box).to_be_focused()
        box.fill("state:failed name:emails.*")
        box.press("Enter")
        expect(page).to_have_url(re.compile(r"/tasks\?state=failed&q=name:emails\.\*$"))
        expect(page.locator("tbody tr").first).to_contain_text("emails.send_campaign")
        expect(page.get_by_label("Filter tasks")).to_have_value("state:failed name:emails.*")


def test_the_last_word_is_completed_while_one_types(site: Site) -> None:
    with site.page("/tasks") as page:
        options = page.locator("#completions option")
        expect(options.first).to_have_attribute("value", "state:")
        press(page, "/")
        page.keyboard.type("state:failed name:ema")
        expect(options.first).to_have_attribute("value", "state:failed name:emails.send_campaign")
        expect(options.first).to_have_attribute("label", re.compile(r"^\d+ tasks?$"))


def test_words_are_found_when_they_are_indexed(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/tasks?q=" + quote('"smtp.internal 587 refused"')) as page:
        rows = page.locator("tbody tr")
        open_until(page, page.url, rows)
        expect(rows.first).to_contain_text("ConnectionError")
        looked_at(page, "tasks-words", shot)


def test_a_view_is_saved_and_chosen(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/tasks?state=failed&columns=release,ran") as page:
        page.get_by_role("link", name="Save view").click()
        page.get_by_label("Name").first.fill("Failures by release")
        page.get_by_label("Share with all users").first.check()
        page.get_by_role("button", name="Save view").click()
        expect(page).to_have_url(re.compile(r"/tasks\?state=failed&columns=release,ran$"))
        view = page.locator(".rail .views").get_by_role("link", name=re.compile("Failures by release"))
        open_until(page, page.url, view.locator(".n"))  # its tasks are counted in the background
        expect(view).to_have_attribute("aria-current", "page")
        expect(view.locator(".n")).to_have_text(re.compile(r"^[\d,]+$"))
        expect(page.locator("thead")).to_contain_text("release")
        shot(page, "tasks-with-view")
        page.get_by_role("link", name="Save view").click()
        page.wait_for_url("**/tasks/views?**")
        looked_at(page, "tasks-views", shot)
        page.get_by_text("Change…").first.click()
        page.get_by_role("button", name="Delete Failures by release").click()
        expect(page.get_by_text("was deleted")).to_be_visible()


def test_columns_are_chosen(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/tasks?state=failed&q=-env:nowhere") as page:
        page.get_by_text("Columns", exact=True).click()
        page.get_by_label("exception").check()
        page.get_by_label("waited").uncheck()
        shot(page, "tasks-columns")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url(re.compile("columns="))
        heads = page.locator("thead th").all_inner_texts()
        assert heads[2:] == ["queue, worker", "exception", "ran", "updated"]
        expect(page.get_by_label("Filter tasks")).to_have_value("state:failed -env:nowhere")


@pytest.mark.parametrize("scripts", [True, False])
def test_two_ticked_rows_are_compared(site: Site, scripts: bool, shot: Callable[[Page, str], None]) -> None:
    with site.context(scripts=scripts) as context:
        page = context.new_page()
        page.goto("/tasks?state=failed")
        button = page.get_by_role("button", name="Compare")
        expect(button).to_be_hidden()
        for number in (0, 1):
            page.locator(".tick").nth(number).check()
        button.click()
        expect(page).to_have_url(re.compile(r"/tasks/compare\?a=\d+&b=\d+$"))
        expect(page.get_by_role("heading", name="Compare two tasks")).to_be_visible()
        expect(page.get_by_role("heading", name="Traceback")).to_be_visible()
        if scripts:
            looked_at(page, "tasks-compare", shot)
