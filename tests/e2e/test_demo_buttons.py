# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every button of a demo, pressed in a real browser: at least nine of ten do something real or say demo, and a page says which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import launched
from tests.support.demo import RunningDemo, running_demo
from tests.support.stack import wait_for

STATES = ("failed", "succeeded", "queued", "scheduled", "retrying", "running", "cancelled")
SHARE = 0.9
FORMS = """
() => [...document.querySelectorAll('main form[method=post]')].flatMap((form) => {
  const fixed = [...form.querySelectorAll('input[type=hidden][name=action]')].map((field) => field.value).join();
  return [...form.querySelectorAll('button:not([type=button])')].map((button) => [
    form.getAttribute('action').replace(/[0-9a-f]{24}|[0-9]+/g, '*').replace(/[?].*/, ''), fixed,
    button.textContent.replace(/[0-9]+|\\s+/g, ' ').trim(), button.disabled || button.getAttribute('aria-disabled') === 'true', button,
  ]);
})
"""
"""[path, action, label, whether it is disabled, the button] of each button of a page's forms."""
LISTED = f"() => ({FORMS})().map((row) => row.slice(0, 4))"
PRESS = f"""
(kind) => {{
  const row = ({FORMS})().find((row) => row.slice(0, 3).join('|') === kind.join('|'));
  if (!row) {{ location.reload(); return false; }}  // its task has ended meanwhile, or an earlier press was its opposite
  const form = row[4].form;
  for (const field of form.querySelectorAll('input, textarea')) {{
    if (field.name === 'confirm') field.value = field.pattern;
    else if (field.name === 'changes') field.value = '{{"args": {{"0": 4711}}}}';
    else if (field.name === 'reason') field.value = 'a walk';
    else if (field.required && !field.value) field.value = field.list?.options[0]?.value ?? 'extra';
  }}
  row[4].click();
  return true;
}}
"""
"""Fills a form as its page asks for, and presses the button, in one step: live pages change."""
LEFT_OUT = ("/logout", "/demo/reset", "/theme", "/settings", "/connect")
"""Forms that end the walk's session or do not concern a demo's engines: the tests of their pages press them."""


@dataclass
class Walk:
    """What became of each kind of button: (path, action, label) and its engine → the notice or the result."""

    good: dict[tuple[str, ...], str] = field(default_factory=dict)
    bad: dict[tuple[str, ...], str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("buttons")) as running:
        wait_for(lambda: len(running.get("/plans")["plans"]) >= 3, seconds=40, what="the plans of the opening")
        yield running


@pytest.fixture
def page(demo: RunningDemo) -> Iterator[Page]:
    with launched() as browser:
        # A small window: a third of the time goes into drawing.
        context = browser.new_context(base_url=demo.address, viewport={"width": 640, "height": 480})
        name, value = next(iter(demo.visitor.cookies.items()))
        context.add_cookies(
            [{"name": cookie.name, "value": cookie.value or "", "url": demo.address} for cookie in demo.visitor.cookies.jar]
        )
        assert name
        assert value
        yield context.new_page()


def places(demo: RunningDemo, engines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(engine, path) of pages with buttons: tasks of these engines; queues, workers and schedules of all."""
    for engine in engines:
        for state in STATES:
            for task in demo.tasks(engine=engine, state=state, env="production", limit=1):
                yield engine, f"/tasks/{task['id']}"
    for queue in {queue["engine"]: queue for queue in demo.get("/queues")["queues"] if queue["environment"] == "production"}.values():
        yield queue["engine"], f"/queues/{queue['name']}?app={queue['app']}&environment=production&engine={queue['engine']}"
    workers = {
        tuple(worker["agent"]["engines"]): worker for worker in demo.get("/workers")["workers"] if worker["environment"] == "production"
    }
    for monitored, worker in workers.items():
        yield "".join(monitored), f"/workers/{worker['name']}?app={worker['app']}&environment=production"
    for row in {row["scheduler"]: row for row in demo.get("/schedules")["schedules"] if row["environment"] == "production"}.values():
        yield row["scheduler"], f"/schedules/{row['id']}"
    for plan in demo.get("/plans")["plans"]:
        yield "", f"/plans/{plan['id']}"


def press(demo: RunningDemo, page: Page, kind: tuple[str, ...]) -> str | None:
    """Presses one button of the open page; returns what is wrong, "" if it did what it says, None if it was gone."""
    newest = {command["id"] for command in demo.get("/commands")["commands"]}
    with page.expect_event("load"):
        is_there = page.evaluate(PRESS, list(kind))
    if not is_there:
        return None
    notices = page.locator("main .notice.bad, main > .notice.warn")
    if notices.count():
        return str(notices.first.inner_text())
    for command in demo.get("/commands")["commands"]:
        if command["id"] not in newest and (result := demo.settled(command))["status"] != "done":
            return f"{result['status']}: {result['detail']}"
    return ""


@pytest.mark.parametrize("engines", [("celery", "huey"), pytest.param(("rq", "dramatiq", "taskiq", "arq"), marks=pytest.mark.long)])
def test_nine_of_ten_buttons_do_something_real_or_say_demo(demo: RunningDemo, page: Page, engines: Sequence[str]) -> None:
    walk = Walk()
    for engine, path in list(places(demo, engines)):
        page.goto(path)
        is_fresh = True
        for action, fixed, label, is_disabled in page.evaluate(LISTED):
            kind = (engine, action, fixed, label)
            if kind in walk.good or kind in walk.bad or action.startswith(LEFT_OUT):
                continue
            if not is_fresh:
                page.goto(path)  # the page after the last press may be another one
            is_fresh = is_disabled
            wrong = "it is disabled" if is_disabled else press(demo, page, kind[1:])
            if wrong is not None:
                (walk.bad if wrong else walk.good)[kind] = wrong
    share = len(walk.good) / (len(walk.good) + len(walk.bad))
    print(f"{len(walk.good)} of {len(walk.good) + len(walk.bad)} kinds of buttons; the others: {walk.bad}")
    assert len(walk.good) > 45, walk
    assert share >= SHARE, f"{share:.0%}: {walk.bad}"


def test_the_badge_resets_the_demo_by_one_click_and_the_visitor_stays_signed_in(tmp_path: Path) -> None:
    with running_demo(tmp_path, tasks=2_000) as demo, launched() as browser:
        wait_for(lambda: demo.get("/task-names")["names"], what="registered tasks")
        made = demo.post("/tasks", app="shop", engine="celery", name="metrics.rollup", environment="production")["params"]["new_id"]
        wait_for(lambda: demo.visitor.get("/tasks.json", params={"task_id": made}).json()["tasks"], what="the task before the reset")
        context = browser.new_context(base_url=demo.address)
        context.add_cookies(
            [{"name": cookie.name, "value": cookie.value or "", "url": demo.address} for cookie in demo.visitor.cookies.jar]
        )
        page = context.new_page()
        page.goto("/queues")
        page.get_by_text("demo", exact=True).click()
        page.get_by_role("button", name="Reset the demo").click()
        expect(page.get_by_role("heading", name="Resetting the demo")).to_be_visible()
        page.wait_for_url("**/tasks", timeout=60_000)
        expect(page.locator("summary.chip.demo")).to_be_visible()
        expect(page.locator("a.through").first).to_be_visible()
        wait_for(lambda: demo.log.read_text().count("writing a month") == 2, what="the second round")
        found = [page.request.get(f"{demo.address}/tasks.json{query}").json()["tasks"] for query in (f"?task_id={made}", "")]
        assert (found[0] == [], found[1] == []) == (True, False), "a new month, with a session of it"
        assert demo.program.get("/api/v1/tasks").status_code == 401, "the tokens of the last round are gone"
