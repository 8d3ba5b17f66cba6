# SPDX-License-Identifier: AGPL-3.0-or-later
"""The palette, the list of keys, the time zone, pausing, news, views in the rail, and the back button, as a person uses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, open_until, press
from tests.browser.test_pages import serious_findings

pytestmark = pytest.mark.browser
Shot = Callable[[Page, str], None]
SIZES = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]


def place(page: Page) -> str:
    """Path and query of the page."""
    parts = urlsplit(page.url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def choose_zone(page: Page, zone: str) -> None:
    """Changes the time zone of the user, on the open page of the account."""
    page.select_option("select[name=zone]", zone)
    page.get_by_role("button", name="Change time zone").click()
    expect(page.locator(".notice")).to_contain_text(zone or "UTC")
    page.wait_for_load_state()


def open_palette(page: Page) -> None:
    press(page, "Control+k")
    expect(page.locator("dialog.palette [role=option]").first).to_be_visible()


# -- the palette -----------------------------------------------------------------------------------------------------------
def test_the_palette_is_used_by_keys_alone(site: Site) -> None:
    with site.page("/queues") as page:
        page.locator("tbody .through").first.focus()
        open_palette(page)
        field = page.get_by_role("combobox")
        expect(field).to_be_focused()
        page.keyboard.type("emails.send")
        first = page.locator("dialog [role=option]").first
        expect(first).to_contain_text("emails.send_campaign")
        expect(first).to_have_attribute("aria-selected", "true")
        expect(field).to_have_attribute("aria-activedescendant", str(first.get_attribute("id")))
        page.keyboard.press("Tab")
        expect(field).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/names/emails.send_campaign")


def test_escape_closes_it_and_returns_the_focus(site: Site) -> None:
    with site.page("/queues") as page:
        row = page.locator("tbody .through").nth(2)
        row.focus()
        open_palette(page)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(row).to_be_focused()
        page.locator(".find").click()
        expect(page.get_by_role("combobox")).to_be_focused()


def test_enter_opens_what_was_typed_and_not_what_was_shown_before(site: Site) -> None:
    with site.page("/tasks") as page:
        open_palette(page)
        page.keyboard.type("hooks.deliver")
        page.keyboard.press("Enter")
        page.wait_for_url("**/names/hooks.deliver")


def test_arrows_move_around_and_what_was_chosen_comes_first_next_time(site: Site) -> None:
    with site.page("/tasks") as page:
        open_palette(page)
        page.keyboard.type("thumbs")
        options = page.locator("dialog [role=option]")
        expect(options.first).to_contain_text("thumbs")
        page.keyboard.press("ArrowUp")
        expect(options.last).to_have_attribute("aria-selected", "true")
        page.keyboard.press("ArrowDown")
        expect(options.first).to_have_attribute("aria-selected", "true")
        page.keyboard.press("Enter")
        page.wait_for_url("**/queues/thumbs**")
        page.wait_for_timeout(300)
        open_palette(page)
        expect(page.locator("dialog [role=option]").first).to_contain_text("thumbs")


def test_an_action_of_the_page_opens_its_form_and_does_nothing_itself(site: Site) -> None:
    with site.page(f"/tasks/{site.ids['running']}") as page:
        open_palette(page)
        page.keyboard.type("stop")
        expect(page.locator("dialog [role=option]").first).to_contain_text("Stop")
        page.keyboard.press("Enter")
        expect(page.locator("dialog")).to_have_count(0)
        expect(page.locator("details.drawer[open] .sheet")).to_be_visible()


def test_a_task_is_found_by_the_beginning_of_its_id(site: Site) -> None:
    with site.page("/tasks") as page:
        task_id = page.locator("tbody tr").first.get_attribute("data-task")
        assert task_id
        open_palette(page)
        page.keyboard.type(task_id[:10])
        expect(page.locator("dialog [role=option]").first).to_contain_text(task_id)


@pytest.mark.parametrize(("theme", "width"), SIZES)
def test_the_palette_looks_right(site: Site, shot: Shot, theme: str, width: int) -> None:
    with site.page("/tasks", theme=theme, width=width, height=844) as page:
        open_palette(page)
        shot(page, f"palette-{theme}-{width}-empty")
        page.keyboard.type("emails")
        expect(page.locator("dialog [role=option]").first).to_contain_text("emails")
        box = page.locator("dialog").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        shot(page, f"palette-{theme}-{width}")
        assert serious_findings(page) == []


def test_without_scripts_find_is_a_page(site: Site) -> None:
    with site.context(scripts=False) as context:
        page = context.new_page()
        page.goto("/queues")
        page.locator(".find").click()
        page.locator("main input[name=q]").fill("emails.send")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="emails.send_campaign").first.click()
        page.wait_for_url("**/names/emails.send_campaign")


# -- keys -----------------------------------------------------------------------------------------------------------------
def test_the_list_of_keys_opens_over_the_page_and_no_key_works_in_a_field(site: Site, shot: Shot) -> None:
    with site.page("/tasks") as page:
        press(page, "?")
        expect(page.locator("dialog.keys")).to_contain_text("Next row")
        shot(page, "keys-light-1440")
        assert serious_findings(page) == []
        press(page, "j")
        expect(page.locator("dialog:focus, dialog :focus"), "keys of the page wait behind the dialog").to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        press(page, "/")
        page.keyboard.type("g q?L")
        expect(page.locator("input[name=q]")).to_have_value("g q?L")
        assert place(page) == "/tasks"
        page.keyboard.press("Escape")
        press(page, "g", "q")
        page.wait_for_url("**/queues")


# -- the time zone -------------------------------------------------------------------------------------------------------------
def test_a_person_reads_times_in_a_zone(site: Site, shot: Shot) -> None:
    with site.page("/settings/account") as page:
        choose_zone(page, "Asia/Kathmandu")
        shot(page, "account-zone")
        try:
            page.goto(f"/tasks/{site.ids['failed']}")
            expect(page.locator("main time").first).to_have_attribute("title", re.compile(r"\+0545 · .* UTC"))
            expect(page.locator("main dl time").first).to_contain_text("+0545")
            page.goto("/schedules")
            page.wait_for_timeout(1_300)  # the script writes ages again, and must not write them in UTC
            assert page.evaluate("document.body.dataset.zone") == "Asia/Kathmandu"
        finally:
            page.goto("/settings/account")
            choose_zone(page, "")


def test_the_script_writes_a_date_as_the_server_does(site: Site) -> None:
    with site.page("/settings/account") as page:
        choose_zone(page, "Asia/Kathmandu")
        try:
            page.goto("/patterns")
            server = page.request.get("/patterns").text()
            page.wait_for_timeout(1_300)
            for time in page.locator("time[data-ago]").all():
                text = time.inner_text()
                if re.match(r"\d\d [A-Z]", text):
                    assert f">{text}</time>" in server
        finally:
            page.goto("/settings/account")
            choose_zone(page, "")


# -- pausing -----------------------------------------------------------------------------------------------------------------
def test_a_paused_page_waits_counts_and_keeps_its_selection(site: Site, shot: Shot) -> None:
    with site.page("/tasks") as page:
        page.locator("tbody .tick").nth(1).check()
        ticked = page.locator("tbody .tick:checked").get_attribute("value")
        press(page, "L")
        expect(page.locator("[data-air]")).to_have_text(re.compile(r"paused\s*since \d\d:\d\d"))
        for _ in range(2):
            site.shop.task(site.shop.workers[0], "succeeded")
        expect(page.locator("[data-air]")).to_contain_text("update")
        page.wait_for_timeout(1_200)
        expect(page.locator(".waiting")).to_have_count(0)
        shot(page, "paused-light-1440")
        press(page, "L")
        expect(page.locator("[data-air]")).to_have_text("live")
        expect(page.locator(".waiting")).to_contain_text("2 new")
        assert page.locator("tbody .tick:checked").get_attribute("value") == ticked


def test_a_tab_stays_paused_on_its_next_page(site: Site, shot: Shot) -> None:
    with site.page("/queues", width=390, height=844) as page:
        page.locator("[data-air]").click()
        expect(page.locator("[data-air]")).to_contain_text("paused")
        page.goto("/workers")
        expect(page.locator("[data-air]")).to_have_text(re.compile(r"paused\s*since \d\d:\d\d"))
        shot(page, "paused-light-390")
        page.locator("[data-air]").click()
        expect(page.locator("[data-air]")).not_to_contain_text("paused")
        page.goto("/queues")
        expect(page.locator("[data-air]")).to_have_text("live")


# -- news and views --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("theme", "width"), SIZES)
def test_the_bell_leads_to_the_news(site: Site, shot: Shot, theme: str, width: int) -> None:
    with site.page("/", theme=theme, width=width, height=844) as page:
        shot(page, f"now-{theme}-{width}")
        page.locator(".chip.bell").click()
        expect(page.get_by_role("heading", name="News")).to_be_visible()
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shot(page, f"news-{theme}-{width}")
        page.goto("/queues")
        expect(page.locator(".chip.bell b")).to_have_count(0)


def test_news_can_be_marked_as_unread(site: Site) -> None:
    with site.page("/news") as page:
        page.get_by_text("Mark as unread…").click()
        page.select_option("select[name=to]", "7d")
        page.get_by_role("button", name="Mark as unread").click()
        expect(page.locator(".notice")).to_contain_text("are marked as unread")


def test_views_are_in_the_rail(site: Site, shot: Shot) -> None:
    with site.page("/tasks/views?state=failed") as page:
        page.locator("input[name=name]").fill("Failed now")
        page.get_by_role("button", name="Save view").click()
        expect(page.locator(".rail .views")).to_contain_text("Failed now")
        open_until(page, "/queues", page.locator(".rail .views .n"))
        expect(page.locator(".rail .views .n")).to_have_count(1)
        shot(page, "rail-views")
        page.locator(".rail .views").get_by_text("Failed now").click()
        page.wait_for_url("**/tasks?state=failed")
        page.goto("/tasks/views")
        page.get_by_text("Change…").first.click()
        page.get_by_role("button", name="Delete Failed now").click()
        expect(page.locator(".rail .views")).to_have_count(0)


# -- the back button ----------------------------------------------------------------------------------------------------------
WALKS = (
    ("/tasks", "[data-facet-state=failed]"),
    ("/tasks?state=failed", "tbody .through"),
    ("/errors", "tbody .through"),
    ("/queues", "tbody .through"),
    ("/workers", "tbody .through"),
    ("/schedules", "tbody .through"),
    ("/", ".chip[href*='range=24h']"),
    ("/names/emails.send_campaign", ".chip[href*='range=']:not([aria-current])"),
    ("/changes", ".tabs a:not([aria-current])"),
    ("/alerts", ".tabs a:not([aria-current])"),
    ("/releases", "tbody .through"),
    ("/settings/apps", ".tabs a:not([aria-current])"),
)


@pytest.mark.parametrize(("path", "link"), WALKS, ids=[path for path, _ in WALKS])
def test_back_returns_to_the_page_before_also_after_live_updates(site: Site, path: str, link: str) -> None:
    with site.page(path) as page:
        heading = page.locator("h1").inner_text()
        length = page.evaluate("history.length")
        site.shop.task(site.shop.workers[0], "succeeded")
        page.wait_for_timeout(1_200)
        assert page.evaluate("history.length") == length, "a live update is no page"
        page.locator(f"main {link}").first.click()
        page.wait_for_url(lambda url: not url.endswith(path))
        there = place(page)
        page.go_back()
        page.wait_for_url(lambda url: url.endswith(path))
        expect(page.locator("h1")).to_have_text(heading)
        page.go_forward()
        page.wait_for_url(lambda url: url.endswith(there))


def test_back_after_an_action_asks_nothing_and_repeats_nothing(site: Site) -> None:
    path = f"/tasks/{site.ids['failed']}"
    with site.page("/tasks?state=failed") as page:
        page.goto(path)
        page.get_by_role("button", name="Retry").first.click()
        expect(page.locator(".notice")).to_contain_text("requested")
        page.wait_for_load_state()
        page.go_back()
        page.wait_for_load_state()
        assert place(page) in ("/tasks?state=failed", path)
        expect(page.locator(".notice")).to_have_count(0)
        posts: list[str] = []
        page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
        page.reload()
        page.go_forward()
        page.wait_for_load_state()
        assert posts == []
