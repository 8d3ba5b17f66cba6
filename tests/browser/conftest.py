# SPDX-License-Identifier: AGPL-3.0-or-later
"""One server with seeded data and one Chromium for all browser tests. Every page that is opened is watched: an error on the
console, an exception of a script or a violation of the content security policy fails the test that met it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, expect

from tests.browser.beats import Beat, start_beats
from tests.browser.responder import Responder
from tests.browser.seed import Shop
from tests.support.chromium import launched
from tests.support.stack import Stack, stack, wait_for

SHOTS = Path(__file__).parent / "shots"
expect.set_options(timeout=20_000 if "Z4J_PATIENCE" in os.environ else 5_000)  # suites of real workers run beside this one
WATCH = """
document.addEventListener("securitypolicyviolation", (e) => console.error("CSP " + e.violatedDirective + " " + e.blockedURI));
window.shifted = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shifted += e.value; })
  .observe({ type: "layout-shift", buffered: true });
"""


OF_AXE = "Canvas2D: Multiple readback operations"
"""A warning about the canvas in which the rules for screen readers look at letters; no page of ours has one."""


class Tab:
    """A page whose errors are watched."""

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(WATCH)
        self.errors: list[str] = []
        self.page = context.new_page()
        self.page.on("console", self._read)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _read(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(OF_AXE):
            self.errors.append(message.text)

    @contextmanager
    def open(self, path: str, status: int = 200) -> Iterator[Page]:
        self.errors.clear()
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status, f"{path} answered {answer.status}"
        if self.page.locator("[data-air]").count():
            self.page.locator("html.live").wait_for(state="attached")
        self.page.wait_for_timeout(150)
        yield self.page
        assert self.errors == [], f"{path}: {self.errors}"


@dataclass
class Site:
    """The server under test, the agents that talk to it, and how to open its pages."""

    stack: Stack
    shop: Shop
    browser: Browser
    ids: dict[str, int]
    """Row ids of one task per state, and of two plans."""
    responder: Responder
    beats: dict[str, Beat]
    """One invented process of each scheduler."""
    cookies: list[dict[str, object]] = field(default_factory=list)
    tab: Tab | None = None
    """The one that `page` used last."""

    @contextmanager
    def context(self, *, width: int = 1440, height: int = 900, theme: str = "light", scripts: bool = True) -> Iterator[BrowserContext]:
        made = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts, base_url=self.stack.address, reduced_motion="reduce",
        )  # fmt: skip
        made.add_cookies(self.cookies)  # type: ignore[arg-type]
        try:
            yield made
        finally:
            made.close()

    @contextmanager
    def page(self, path: str, *, width: int = 1440, height: int = 900, theme: str = "light", expect: int = 200) -> Iterator[Page]:
        """One page, opened and settled; what goes wrong in it raises at the end. The tab is used again, because each new one is a process
        of Chromium, which takes three quarters of the time of a short test; what a page stores in it is removed."""
        tab, self.tab = self.tab or Tab(self.browser.new_context(base_url=self.stack.address, reduced_motion="reduce")), None
        tab.page.context.clear_cookies()
        tab.page.context.add_cookies(self.cookies)  # type: ignore[arg-type]
        tab.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        tab.page.set_viewport_size({"width": width, "height": height})
        is_good = False
        try:
            with tab.open(path, expect) as page:
                yield page
            is_good = tab.page.url.startswith(self.stack.address)
        finally:
            if is_good and self.tab is None:
                tab.page.evaluate("localStorage.clear(); sessionStorage.clear()")
                self.tab = tab
            else:
                tab.page.context.close()


def press(page: Page, *keys: str) -> None:
    """Presses keys one after the other once the page's scripts run: what it shows can be seen, and waited for, before."""
    page.wait_for_load_state()
    for key in keys:
        page.keyboard.press(key)


def open_until(page: Page, path: str, shown: Locator) -> None:
    """Opens a page again and again until it shows what the server finds out in the background."""
    wait_for(lambda: page.goto(path) and shown.count(), what=f"{path} shows {shown}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture(scope="session")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with stack(tmp_path_factory.mktemp("site")) as made:
        made.command("migrate")
        url = made.add_app()
        made.command("user", "add", "ada", "--role", "admin", "--password-stdin", stdin="a long enough passphrase\n")
        made.start_server()
        link = made.command("user", "link", "ada", "--port", str(made.port)).strip()
        responder = Responder(url)  # first: what any agent may do is asked of it
        with Shop(url) as shop:
            found = shop.fill()
            ids = {end: _row_id(made, task_id) for end, task_id in found.items()}
            ids["plan"], ids["frozen"] = _make_plans(made)
            ids["alert"] = _make_alert(made)
            beats = {beat.scheduler: beat for beat in start_beats(url)}
            ids["nightly"] = _schedule_id(made, "nightly-export")
            context = browser.new_context(base_url=made.address)
            context.new_page().goto(link)
            yield Site(made, shop, browser, ids, responder, beats, [dict(cookie) for cookie in context.cookies()])
            context.close()
            for beat in beats.values():
                beat.close()
        responder.close()


def _make_plans(made: Stack) -> tuple[int, int]:
    """One that was carried out, one that is only frozen."""
    token = made.command("token", "create", "--api", "seed", "--role", "operator").strip()
    with httpx2.Client(base_url=f"{made.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        asked = {"action": "retry_task", "filter": {"state": "failed"}, "reason": "mail host is back"}
        frozen, plan = (client.post("/plans", json=asked).json()["plan"] for _ in range(2))
        client.post(f"/plans/{plan['id']}/execute", json={"digest": plan["digest"]}).raise_for_status()
        place = {"app": "shop", "engine": "celery", "environment": "production", "queue": "emails"}
        client.post("/queues/actions", json=place | {"action": "peek_queue"}).raise_for_status()
        return plan["id"], frozen["id"]


def _make_alert(made: Stack) -> int:
    """One that lasts, of a rule without a channel."""
    token = made.command("token", "create", "--api", "alerts", "--role", "admin").strip()
    with httpx2.Client(base_url=f"{made.address}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        channel = {"name": "hook", "kind": "webhook", "url": "http://127.0.0.1:9/hook"}
        client.post("/alert-channels", json=channel).raise_for_status()
        client.post("/alert-rules", json={"name": "everything"}).raise_for_status()
    [[id]] = wait_for(lambda: made.rows("SELECT id FROM alert LIMIT 1"), seconds=40, what="an alert fires")
    return int(id)


def _schedule_id(made: Stack, name: str) -> int:
    [(id,)] = wait_for(lambda: made.rows("SELECT id FROM schedule WHERE name = ?", name), what=f"{name} is listed")
    return int(id)


def _row_id(made: Stack, task_id: str) -> int:
    from uuid import UUID

    [(id,)] = made.rows("SELECT id FROM task WHERE task_id = ?", UUID(task_id).bytes)
    return int(id)


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """With Z4J_SHOTS=1: keeps a picture for the eye in tests/browser/shots, which is not committed."""
    if not os.environ.get("Z4J_SHOTS"):
        return lambda page, name: None
    SHOTS.mkdir(exist_ok=True)

    def take(page: Page, name: str) -> None:
        for is_last in (False, False, True):
            try:
                page.screenshot(path=SHOTS / f"{name}.png")
            except Error:  # Chromium on a busy machine has no frame to give now and then
                if is_last:
                    raise
                page.wait_for_timeout(500)
            else:
                return

    return take
