# SPDX-License-Identifier: AGPL-3.0-or-later
"""Operating as a person would, by mouse and by keyboard: editing, plans, queues, workers, running by name."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, press
from tests.support.stack import wait_for

pytestmark = pytest.mark.browser
EMAILS = "/queues/emails?app=shop&environment=production&engine=celery"


def wait_until_asked(site: Site, action: str, **expected: object) -> None:
    """Waits until a command reaches the agent, which may be after the page that requested it, with these parameters."""

    def is_last() -> bool:
        asked = [frame["params"] for frame in site.responder.asked if frame["action"] == action]
        return bool(asked) and {name: asked[-1].get(name) for name in expected} == expected

    wait_for(is_last, what=f"{action} with {expected}; asked were {site.responder.asked[-3:]}")


def test_editing_an_argument_keeps_what_is_masked(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page(f"/tasks/{site.ids['masked']}") as page:
        press(page, "e")
        expect(page.locator(".sheet form.edit")).to_be_visible()
        page.wait_for_timeout(250)
        shot(page, "edit-1440")
        expect(page.locator("textarea[name='kw.token']")).to_have_value('"•••"')
        page.locator("textarea[name='arg.1']").fill("250")
        page.get_by_role("button", name="Run 1 task").click()
        expect(page.locator(".notice.good")).to_contain_text("changed arguments requested")
        wait_until_asked(site, "edit_task", edit={"args": {"1": 250}, "kwargs": {}})
        press(page, "e")
        page.locator("textarea[name='arg.1']").fill("{broken")
        page.get_by_role("button", name="Run 1 task").click()
        expect(page.locator(".notice.bad")).to_contain_text("is not valid JSON at character 2")


def test_a_place_in_the_queue_and_another_queue(site: Site) -> None:
    with site.page(f"/tasks/{site.ids['queued']}") as page:
        press(page, "o")
        page.locator(".sheet:visible").get_by_label("Priority").select_option("next")
        page.get_by_role("button", name="Change priority of 1 task").click()
        expect(page.locator(".notice.good")).to_contain_text("Priority change requested")
        wait_until_asked(site, "prioritise_task", level="next")
        press(page, "m")
        page.locator(".sheet:visible input[name=queue]").fill("exports")
        page.get_by_role("button", name="Move 1 task").click()
        expect(page.locator(".notice.good")).to_contain_text("Move requested")
        wait_until_asked(site, "move_task", queue="exports")


def test_a_plan_from_ticked_rows_by_keyboard(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/tasks?state=failed") as page:
        for _ in range(2):
            press(page, "j", "x")
        expect(page.locator("[data-ticks]")).to_contain_text("2 selected")
        press(page, "b")
        expect(page).to_have_url(re.compile("/plans/new"))
        expect(page.locator(".head .sub")).to_contain_text("2 selected tasks")
        page.get_by_label("Reason (audit log)").fill("by hand")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("h1")).to_contain_text("tasks")
        shot(page, "plan-frozen-1440")


def test_a_plan_from_the_filter_to_its_account(site: Site, shot: Callable[[Page, str], None]) -> None:
    for _ in range(3):
        site.shop.task(site.shop.workers[0], "failed", which=4)
    with site.page("/tasks?state=failed&name=thumbs.make&environment=production") as page:
        page.get_by_role("button", name="Plan…").click()
        expect(page.locator(".head .sub")).to_contain_text("state:failed")
        page.get_by_role("button", name="Preview").click()
        page.wait_for_url(re.compile(r"/plans/\d+$"))
        title = page.locator("h1").inner_text()
        number = re.search(r"\d+", title)
        assert number is not None
        assert int(number[0]) >= 3
        expect(page.locator("main")).to_contain_text("not executed yet")
        before = len(site.responder.asked)
        page.get_by_label("all at once").check()
        page.get_by_role("button", name=re.compile(title)).click()
        expect(page.locator(".plan-head .st")).to_contain_text("done")
        assert len(site.responder.asked) - before == int(number[0])
        page.locator(".account a", has_text="done").click()
        expect(page).to_have_url(re.compile("status=done"))
        press(page, "g", "c")
        page.get_by_role("link", name="Plans").click()
        expect(page.locator(".plans tbody tr").first).to_contain_text(title)
        shot(page, "plans-1440")


def test_a_plan_over_everything_is_refused(site: Site) -> None:
    with site.page("/tasks") as page:
        page.get_by_role("button", name="Plan…").click()
        expect(page.locator(".notice.warn")).to_contain_text("Narrow the list first")


def test_deleting_from_history_and_putting_back(site: Site) -> None:
    site.shop.task(site.shop.workers[0], "failed", which=6)
    with site.page("/tasks?state=failed&name=hooks.deliver") as page:
        count = page.locator("tbody tr").count()
        page.get_by_role("button", name="Plan…").click()
        page.get_by_label("Delete from history").check()
        page.get_by_role("button", name="Preview").click()
        page.get_by_label("all at once").check()
        page.locator("main").focus()
        press(page, "y")
        expect(page.locator(".plan-head .st")).to_contain_text("done")
        page.wait_for_url(re.compile(r"/plans/\d+$"))
        plan = page.url
        page.goto("/tasks?state=failed&name=hooks.deliver")
        expect(page.locator("tbody tr")).to_have_count(0)
        page.goto(plan)
        page.get_by_role("button", name="Restore…").click()
        page.get_by_label("all at once").check()
        page.locator("main").focus()
        press(page, "y")
        expect(page.locator(".plan-head .st")).to_contain_text("done")
        page.goto("/tasks?state=failed&name=hooks.deliver")
        expect(page.locator("tbody tr")).to_have_count(count)


def test_a_queue_is_looked_into_paused_and_purged(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page(EMAILS) as page:
        press(page, "l")
        expect(page.locator(".peek tbody tr")).to_have_count(12)
        shot(page, "queue-1440")
        press(page, "p")
        expect(page.locator(".place-head")).to_contain_text("paused by ada")
        wait_until_asked(site, "pause_queue", queue="emails")
        page.goto("/queues")
        expect(page.locator("tr", has_text="emails").first).to_contain_text("paused")
        page.goto(EMAILS)
        press(page, "p")
        expect(page.locator(".place-head")).not_to_contain_text("paused by")
        press(page, "d")
        page.get_by_label("Type purge to confirm").fill("purge")
        page.get_by_role("button", name="Purge waiting tasks").click()
        expect(page.locator(".asked li", has_text="purge").first).to_contain_text("3 tasks")
        page.get_by_role("button", name="Restore…").first.click()
        expect(page.locator("main")).to_contain_text("undo of the purge of emails")


def test_a_worker_is_resized_and_shut_down(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/workers/celery@host-0?app=shop") as page:
        expect(page.locator(".holds-now tbody tr")).to_have_count(1)
        shot(page, "worker-1440")
        press(page, "z")
        page.locator(".sheet:visible input[name=by]").fill("2")
        page.locator(".sheet:visible").get_by_role("button", name="Resize").click()
        expect(page.locator(".notice.good")).to_contain_text("Resize requested")
        wait_until_asked(site, "resize_worker", by=2)
        page.locator("summary", has_text="Shut down").click()
        page.get_by_label("Type shutdown to confirm").fill("shutdown")
        page.get_by_role("button", name="Shut down 1 worker").click()
        expect(page.locator(".asked li", has_text="shutdown worker").first).to_contain_text("ada")


def test_what_a_worker_cannot_is_said_one_click_away(site: Site) -> None:
    with site.page("/workers/celery@host-1?app=shop") as page:
        page.locator("summary", has_text="unavailable").click()
        expect(page.locator(".reasons")).to_contain_text("celery does not support this in this worker")


def test_a_task_is_run_by_its_name(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/tasks") as page:
        page.get_by_role("link", name="Run a task").click()
        press(page, "/")
        page.keyboard.type("charge")
        press(page, "Enter")
        page.get_by_role("link", name=re.compile("billing.charge celery production")).click()
        page.locator("textarea[name='of.batch']").fill("oops")
        page.get_by_role("button", name="Run 1 task").click()
        expect(page.locator(".notice.bad")).to_contain_text("batch is not valid JSON")
        shot(page, "run-1440")
        expect(page.locator("textarea[name='of.batch']")).to_have_value("oops")
        page.locator("textarea[name='of.batch']").fill('["c_1"]')
        page.locator("textarea[name='of.size']").fill("20")
        page.get_by_role("button", name="Run 1 task").click()
        expect(page.locator(".notice.good")).to_contain_text("Run requested")
        wait_until_asked(site, "run_task", name="billing.charge", kwargs={"batch": ["c_1"], "size": 20})
