# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people do with the pages: by keyboard, without scripts, on a phone; signing in, filtering, acting, making secrets."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, press

pytestmark = pytest.mark.browser


def test_signing_in_and_out(site: Site, shot: Callable[[Page, str], None]) -> None:
    context = site.browser.new_context(base_url=site.stack.address, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto("/tasks?state=failed")
    expect(page).to_have_url(re.compile("/login"))
    shot(page, "login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong wrong wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong")
    expect(page.get_by_label("Name")).to_have_value("ada")
    page.get_by_label("Password").fill("a long enough passphrase")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/tasks\?state=failed$"))
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login"))
    page.goto("/tasks")
    expect(page).to_have_url(re.compile("/login"))
    context.close()


def test_a_used_up_setup_link_says_so(site: Site, shot: Callable[[Page, str], None]) -> None:
    context = site.browser.new_context(base_url=site.stack.address, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto("/setup?code=nothing")
    shot(page, "setup-used")
    expect(page.get_by_role("alert")).to_contain_text("already used")
    context.close()


def test_keys(site: Site) -> None:
    with site.page("/tasks") as page:
        press(page, "j", "j", "k")
        first = page.locator("tbody tr .through").first
        expect(first).to_be_focused()
        press(page, "x")
        expect(page.locator("[data-ticks]")).to_contain_text("1 selected")
        press(page, "x")
        expect(page.locator("[data-ticks]")).to_be_hidden()
        press(page, "Enter")
        expect(page).to_have_url(re.compile(r"/tasks/\d+$"))
        press(page, "g", "q")
        expect(page).to_have_url(re.compile("/queues$"))


def test_the_query_box_becomes_filters_in_the_url(site: Site) -> None:
    with site.page("/tasks") as page:
        press(page, "/")
        page.keyboard.type("state:failed queue:emails since:24h")
        press(page, "Enter")
        page.wait_for_url(re.compile(r"/tasks\?state=failed&queue=emails&since=24h$"))
        for row in page.locator("tbody tr").all():
            assert "failed" in row.inner_text()
        expect(page.locator("input[name=q]")).to_have_value("state:failed queue:emails since:24h")


def test_paging_both_ways(site: Site) -> None:
    with site.page("/tasks") as page:
        first = page.locator("tbody tr").first.get_attribute("id")
        press(page, "n")
        page.wait_for_url(re.compile("older="))
        assert page.locator("tbody tr").first.get_attribute("id") != first
        press(page, "p")
        expect(page).to_have_url(re.compile("newer="))
        expect(page.locator(f"#{first}")).to_have_count(1)


def test_a_stop_needs_its_word(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page(f"/tasks/{site.ids['running']}") as page:
        page.locator("summary", has_text="Stop").click()
        page.wait_for_timeout(250)
        shot(page, "drawer")
        page.get_by_label("Type stop to confirm").fill("nope")
        page.get_by_role("button", name="Stop 1 task").click()
        expect(page.get_by_role("button", name="Stop 1 task")).to_be_visible()  # the browser itself holds it back
        page.get_by_label("Type stop to confirm").fill("stop")
        page.get_by_role("button", name="Stop 1 task").click()
        expect(page.locator(".notice.good")).to_contain_text("Stop requested")
        press(page, "g", "c")
        expect(page.locator(".changes tbody tr").first).to_contain_text("terminate task")


def test_a_connection_string_is_shown_once(site: Site, shot: Callable[[Page, str], None]) -> None:
    def connect(page: Page) -> str:
        page.goto("/settings/apps")
        page.get_by_role("link", name="Connect an app").click()
        page.get_by_label("App").fill("newsletter")
        page.get_by_role("button", name="Show the lines to paste").click()
        page.locator("[data-with-url]").first.wait_for()
        page.wait_for_load_state()  # its script puts an existing string into every line
        found = re.search(r"Z4J_URL='?(z4j\S+?)'?$", page.locator("[data-with-url]").first.inner_text(), re.MULTILINE)
        assert found is not None
        return found[1]

    with site.page("/settings/apps") as page:
        shown = connect(page)
        assert re.fullmatch(rf"z4j\+ws://z4a_[\w-]{{43}}\.[\w-]{{43}}@127\.0\.0\.1:{site.stack.port}", shown)
        expect(page.locator("#steps .reached")).to_have_count(5)
        shot(page, "connect")
        page.goto("/settings/apps")
        assert shown not in page.content()
        again = connect(page)
        assert re.fullmatch(r"z4j\+ws://z4a_[\w-]{43}@\S+", again)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.get_by_label("An existing connection string").fill(shown)
        key = shown.partition(".")[2].partition("@")[0]
        joined = again.replace("@", f".{key}@")
        for lines in page.locator("[data-with-url]").all():
            assert joined in (lines.text_content() or "")
        assert joined in (page.locator(".lines [data-copy]").nth(1).get_attribute("data-copy") or "")
        assert not any(key in url for url in requests)


def test_an_api_token_reads_and_dies(site: Site) -> None:
    import httpx2 as httpx

    with site.page("/settings/tokens") as page:
        page.locator("summary", has_text="New API token").click()
        page.get_by_label("Purpose").fill("nightly report")
        page.get_by_role("button", name="Create token").click()
        page.locator(".secret code").first.wait_for()
        token = page.locator(".secret code").first.inner_text()
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{site.stack.address}/tasks.json?state=failed&engine=celery", headers=headers, timeout=60)
        assert answer.status_code == 200
        assert {row["state"] for row in answer.json()["tasks"]} == {"failed"}
        page.goto("/settings/tokens")
        page.locator("tr", has_text="nightly report").locator("summary").click()
        page.get_by_role("button", name="Revoke 1 token").click()
        expect(page.locator(".notice.good")).to_contain_text("was revoked")
        assert httpx.get(f"{site.stack.address}/tasks.json", headers=headers, timeout=60).status_code == 401


def test_everything_reads_and_acts_without_scripts(site: Site) -> None:
    with site.context(scripts=False) as context:
        page = context.new_page()
        page.goto("/tasks")
        expect(page.locator("tbody tr")).to_have_count(50)
        page.locator("[data-facet-state=failed]").click()
        expect(page).to_have_url(re.compile("state=failed"))
        page.goto(f"/tasks/{site.ids['masked']}")
        expect(page.locator(".pairs", has_text="•••")).to_have_count(1)
        page.get_by_role("button", name="Retry").click()
        expect(page.locator(".notice.good")).to_contain_text("Retry requested")
        page.locator(".menu summary").click()
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.wait_for_load_state()
        page.locator(".menu summary").click()
        page.get_by_role("button", name="System").click()
        expect(page.locator("html:not([data-theme])")).to_have_count(1)


def test_filters_open_on_a_phone(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.page("/tasks", width=390, height=844) as page:
        expect(page.locator(".facets")).to_be_hidden()
        page.get_by_role("link", name="Filter").click()
        expect(page.locator(".facets")).to_be_visible()
        shot(page, "tasks-filter-390")
        page.locator("[data-facet-state=failed]").click()
        expect(page).to_have_url(re.compile("state=failed"))


@pytest.mark.parametrize("width", [390, 800])
def test_many_engines_do_not_widen_a_page(site: Site, width: int, shot: Callable[[Page, str], None]) -> None:
    """A row of chips is scrolled; a phone and a narrow window hold less than six engines."""
    many = "group => { for (let i = 0; i < 12; i++) group.append(group.lastElementChild.cloneNode(true)); }"
    with site.page("/tasks", width=width, height=844) as page:
        page.locator(".top .group").first.evaluate(many)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        expect(page.locator(".top .menu summary")).to_be_in_viewport(ratio=1)
        shot(page, f"chips-{width}")


def test_errors_are_pages(site: Site, shot: Callable[[Page, str], None]) -> None:
    with site.context() as context:
        page = context.new_page()
        for path, status, says in (
            ("/nowhere", 404, "Page not found"),
            ("/tasks/999999999", 404, "Task not found"),
            ("/tasks?state=sleepy", 400, "Unknown state"),
            ("/tasks?since=yesterday", 400, "not a valid time"),
        ):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == status
            expect(page.locator("main")).to_contain_text(says)
        shot(page, "error")


def test_a_viewer_is_told_why_not(site: Site) -> None:
    site.stack.command("user", "add", "vera", "--role", "viewer", "--password-stdin", stdin="a long enough passphrase\n")
    link = site.stack.command("user", "link", "vera", "--port", str(site.stack.port)).strip()
    context = site.browser.new_context(base_url=site.stack.address)
    page = context.new_page()
    page.goto(link)
    page.goto(f"/tasks/{site.ids['retried']}")
    page.locator("summary", has_text="unavailable").click()
    expect(page.locator(".reasons")).to_contain_text("your role is viewer")
    assert page.get_by_role("link", name="Settings").count() == 0
    answer = page.goto("/settings/users")
    assert answer is not None
    assert answer.status == 403
    expect(page.locator("main")).to_contain_text("Your role, viewer, does not allow this")
    context.close()


def test_an_id_that_is_used_again_has_a_page_for_each_run(site: Site, shot: Callable[[Page, str], None]) -> None:
    for hours, end in ((49, "succeeded"), (25, "failed"), (1, "succeeded")):
        site.shop.task(site.shop.workers[0], end, ago_s=hours * 3600, which=1, task_id="nightly-report")
    with site.page("/tasks?task_id=nightly-report") as page:
        expect(page.locator("tbody tr")).to_have_count(3)
        page.locator("tbody tr .through").nth(1).click()
        panel = page.locator("section", has=page.get_by_role("heading", name="Execution 2 of 3 with this ID"))
        expect(panel.get_by_role("listitem")).to_have_count(3)
        expect(panel.get_by_role("link")).to_have_text(["Execution 1", "Execution 3"])
        shot(page, "same-id")
        panel.get_by_role("link", name="Execution 1").click()
        expect(page.get_by_role("heading", name="Execution 1 of 3 with this ID")).to_be_visible()
        place = page.url.removeprefix(site.stack.address)
    for theme, width in (("dark", 1440), ("light", 390)):
        with site.page(place, theme=theme, width=width) as page:
            expect(page.get_by_role("heading", name="Execution 1 of 3 with this ID")).to_be_visible()
            shot(page, f"same-id-{theme}-{width}")
