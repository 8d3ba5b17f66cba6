# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one form on every scheduler, as a person fills it in: on a desk, on a phone, and without a script."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.beats import ENTRIES, IN_CODE
from tests.browser.conftest import Site, press

pytestmark = pytest.mark.browser
PLACES = {scheduler: f"/schedules/new?app=shop&environment=production&scheduler={scheduler}" for scheduler in ENTRIES}


def fill(page: Page, name: str, expression: str = "15 4 * * 1-5") -> None:
    page.fill("input[name=name]", name)
    page.fill("input[name=task_name]", "billing.charge")
    page.check("input[name=kind][value=cron]")
    page.fill("input[name=expression]", expression)
    page.fill("textarea[name=args]", '["c_1", 5]')


def test_one_of_z4js_own_from_the_first_click_to_its_page(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/schedules") as page:
        press(page, "a")
        page.get_by_role("link", name="z4j", exact=True).nth(1).click()
        page.fill("input[name=name]", "monday report")
        page.fill("input[name=task_name]", "metrics.rollup")
        page.get_by_label("How often").select_option("weekly")
        page.check("input[name=day_mon]")
        page.locator("input[name=time]").fill("07:30")
        page.fill("input[name=timezone]", "Europe/Berlin")
        page.fill("textarea[name=args]", '["c_1", 5]')
        page.locator("textarea[name=args]").blur()
        expect(page.locator("#preview")).to_contain_text("At 07:30, only on Monday")
        expect(page.locator("#preview .runs")).to_contain_text("07:30 +0100")
        shot(page, "schedule-form-1440")
        page.get_by_role("button", name="Create 1 schedule").click()
        expect(page.locator("h1")).to_have_text("monday report")
        expect(page.locator("main")).to_contain_text("30 7 * * mon")
        press(page, "o")
        page.locator(".sheet:visible input[name=reason]").fill("holidays")
        page.get_by_role("button", name="Disable 1 schedule").click()
        # The notice, not the state alone: that is also refreshed in the page which is about to be left.
        expect(page.locator(".notice.good")).to_contain_text("was disabled")
        expect(page.locator(".place-head .st")).to_contain_text("disabled")
        press(page, "o")
        expect(page.locator(".notice.good")).to_contain_text("was enabled")
        expect(page.locator(".place-head .st")).to_contain_text("on time")
        press(page, "d")
        page.locator(".sheet:visible input[name=confirm]").fill("delete")
        page.get_by_role("button", name="Delete 1 schedule").click()
        expect(page.locator(".notice.good")).to_contain_text("was deleted")


def test_what_the_clocks_do_is_said_before_it_is_saved(site: Site) -> None:
    with site.page("/schedules/new?app=shop&scheduler=z4j") as page:
        fill(page, "in the gap", "30 2 * * *")
        page.fill("input[name=timezone]", "Europe/Berlin")
        page.locator("input[name=timezone]").blur()
        expect(page.locator("#preview")).to_contain_text("does not exist in Europe/Berlin")
        expect(page.locator("#preview")).to_contain_text("occurs twice")
        page.fill("input[name=expression]", "61 * * * *")
        page.locator("input[name=expression]").blur()
        expect(page.locator("#preview .wrong")).to_contain_text("0 to 59")


@pytest.mark.parametrize("scheduler", list(ENTRIES))
def test_the_form_on_every_scheduler(site: Site, scheduler: str) -> None:
    """Made on a desk, changed on a phone after a look at what changes, deleted again."""
    name = f"made with {scheduler}"
    with site.page(PLACES[scheduler]) as page:
        fill(page, name)
        page.get_by_role("button", name="Create 1 schedule").click()
        expect(page.locator("main")).to_contain_text(name)
        row = page.get_by_role("link", name=name, exact=True)
        expect(row).to_be_visible()
        row.click()
        page.wait_for_url(re.compile(r"/schedules/\d+$"))
        expect(page.locator("main")).to_contain_text("15 4 * * mon-fri")
        path = page.url
    with site.page(f"{path}/edit", width=390, height=844) as page:
        page.fill("input[name=expression]", "45 4 * * sun")
        page.get_by_role("button", name="Review changes").click()
        expect(page.locator("#preview .diff .was")).to_have_text("15 4 * * mon-fri")
        expect(page.locator("#preview .diff .is")).to_have_text("45 4 * * sun")
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="Save 1 change").click()
        page.wait_for_url(path)
        expect(page.locator("main")).to_contain_text("45 4 * * sun")
    with site.page(path) as page:
        if scheduler in IN_CODE:
            expect(page.get_by_role("button", name="Revert to code")).to_be_visible()
        page.get_by_text("Delete…").click()
        page.locator(".sheet:visible input[name=confirm]").fill("delete")
        page.get_by_role("button", name="Delete 1 schedule").click()
        expect(page.locator(".notice.good")).to_contain_text("elete")
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)


def test_an_expression_a_scheduler_cannot_hold_is_refused_with_the_nearest(site: Site) -> None:
    with site.page(PLACES["celery_beat"]) as page:
        fill(page, "to the second", "10 0 3 * * *")
        page.get_by_role("button", name="Create 1 schedule").click()
        expect(page.locator(".notice.bad")).to_contain_text("Celery Beat does not support seconds")
        expect(page.locator(".notice.bad")).to_contain_text("0 3 * * *")
        expect(page.locator("input[name=expression]")).to_have_value("10 0 3 * * *")
    with site.page(PLACES["rq_scheduler"]) as page:
        expect(page.locator("main")).to_contain_text("use the time zone UTC")
    with site.page(PLACES["arq_cron"]) as page:
        expect(page.locator("input[name=kind][value=interval]")).to_have_count(0)


def test_without_a_script_it_is_checked_and_saved(site: Site) -> None:
    with site.context(scripts=False) as context:
        page = context.new_page()
        page.goto("/schedules/new?app=shop&scheduler=z4j")
        fill(page, "by hand")
        page.get_by_role("button", name="Check").click()
        expect(page.locator("#preview")).to_contain_text("At 04:15, Monday through Friday")
        page.get_by_role("button", name="Create 1 schedule").click()
        expect(page.locator("h1")).to_have_text("by hand")
        page.locator("summary", has_text="Delete…").click()
        page.locator(".sheet:visible input[name=confirm]").fill("delete")
        page.get_by_role("button", name="Delete 1 schedule").click()
        expect(page.locator(".notice.good")).to_contain_text("was deleted")


def test_the_list_is_live_and_a_bar_of_the_day_narrows_it(site: Site) -> None:
    with site.page("/schedules") as page:
        beat = site.beats["taskiq_scheduler"]
        with beat.lock:
            beat.entries["new-one"] = beat.entry("new-one", "interval", "600", "", "hooks.deliver", "[]")
            beat.tell()
        expect(page.get_by_role("link", name="new-one", exact=True)).to_be_visible()
        with beat.lock:
            del beat.entries["new-one"]
            beat.tell()
        expect(page.get_by_role("link", name="new-one", exact=True)).to_have_count(0)
        page.get_by_role("link", name="Next 24 hours").click()
        page.locator(".hours a").first.click()
        expect(page.locator("#due h2")).to_contain_text("Due from")
