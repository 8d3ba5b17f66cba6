# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every page in both themes on a desk and on a phone: it opens clean, nothing scrolls sideways, axe has nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_core_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from tests.browser.conftest import Site

pytestmark = pytest.mark.browser

PAGES = (
    "/tasks", "/tasks?state=failed&since=24h",
    "/tasks?state=failed&q=order:ran&columns=env,release,error,started,ran", "/tasks/views?state=failed",
    "/tasks?name=no.such_task",
    "/tasks/failed", "/tasks/retried", "/tasks/running", "/tasks/queued",
    "/tasks/masked", "/tasks/failed/logs", "/errors", "/errors?state=resolved", "/errors?name=emails.send_campaign", "/errors/1",
    "/workers", "/queues", "/queues?app=nobody", "/changes", "/changes/audit", "/settings/apps", "/settings/tokens",
    "/settings/users", "/settings/links", "/settings/forwarding", "/settings/account", "/patterns",
    "/plans", "/plans/plan", "/plans/frozen", "/plans/new?state=failed", "/tasks/run",
    "/tasks/run?app=shop&engine=celery&name=billing.charge",
    "/queues/emails?app=shop&environment=production&engine=celery", "/queues/tenant-03?app=shop&environment=production&engine=celery",
    "/workers/celery@host-0?app=shop", "/workers/celery@host-1?app=shop",
    "/schedules", "/schedules?state=off", "/schedules/nightly", "/schedules/calendar", "/schedules/new",
    "/schedules/new?app=shop&scheduler=z4j",
    "/names", "/names/billing.charge?range=24h", "/queues/emails?app=shop&environment=production&engine=celery&range=7d",
    "/workers/celery@host-0?app=shop&range=24h",
    "/alerts", "/alerts/alert", "/alerts/rules", "/alerts/rules/1", "/alerts/rules/new", "/alerts/channels", "/alerts/maintenance",
    "/alerts/messages", "/docs", "/docs/operate", "/docs?q=tls", "/incidents", "/releases", "/releases/a1b2c3d",
    "/find", "/find?q=emails", "/find?q=no.such.thing", "/keys", "/news",
)  # fmt: skip
DESK, PHONE = (1440, 900), (390, 844)
SIZES, WEIGHTS = 7, 3
STYLES = """
() => {
  const sizes = new Set(), weights = new Set(), colours = new Map();
  const add = (value, where) => { if (!colours.has(value)) colours.set(value, where); };
  for (const el of document.querySelectorAll("body, body *")) {
    if (el.closest("head") || !el.checkVisibility()) continue;
    const style = getComputedStyle(el);
    const says = [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || el.matches("input");
    const where = el.tagName + "." + el.className;
    if (says) { sizes.add(style.fontSize); weights.add(style.fontWeight); add(style.color, where); }
    add(style.backgroundColor, where);
    for (const side of ["Top", "Right", "Bottom", "Left"])
      if (parseFloat(style["border" + side + "Width"]) > 0) add(style["border" + side + "Color"], where);
    if (el.namespaceURI.endsWith("svg") && el.tagName === "rect") add(style.fill, where);
  }
  const probe = document.createElement("i");
  document.body.append(probe);
  const tokens = new Set(["rgba(0, 0, 0, 0)"]);
  for (const sheet of document.styleSheets) for (const rule of sheet.cssRules) if (rule.selectorText === ":root")
    for (const name of rule.style) if (name.startsWith("--")) {
      const value = rule.style.getPropertyValue(name);
      if (!value.includes("light-dark")) continue;
      for (const scheme of ["light", "dark"]) {
        probe.style.colorScheme = scheme;
        probe.style.color = `var(${name})`;
        tokens.add(getComputedStyle(probe).color);
      }
    }
  probe.remove();
  return { sizes: [...sizes], weights: [...weights], strangers: [...colours].filter(([c]) => !tokens.has(c)) };
}
"""


def path_of(site: Site, page: str) -> str:
    section, _, rest = page.strip("/").partition("/")
    kind, slash, below = rest.partition("/")
    return f"/{section}/{site.ids[kind]}{slash}{below}" if kind in site.ids else page


def serious_findings(page: Page) -> list[Any]:
    """Violations of the rules for screen readers. The rules are read once into each document, and what is in order is not described: both
    took most of the time."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    violations: list[Any] = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
    return [
        (of["id"], [node["html"][:160] for node in of["nodes"][:3]], of["nodes"][0]["any"][:1])
        for of in violations
        if of["impact"] in ("serious", "critical")
    ]


def test_what_a_screen_reader_cannot_read_is_found_each_time(site: Site) -> None:
    with site.visit("/news") as page:
        assert serious_findings(page) == []
        page.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert [found[0] for found in serious_findings(page)] == ["image-alt"]


def test_an_error_of_a_page_fails_its_own_test_and_no_other(site: Site) -> None:
    with pytest.raises(AssertionError, match="a fault of this page"), site.visit("/news") as page, page.expect_console_message():
        page.evaluate("console.error('a fault of this page')")
    for _ in range(2):
        with site.visit("/news"):
            pass


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_clean(site: Site, page: str, shot: Callable[[Page, str], None]) -> None:
    """In both themes and at both widths. The rules for screen readers look at each theme and at each width once, not at every pair."""
    name = page.strip("/").replace("/", "-").replace("?", "-").replace("&", "-").replace("=", "-")
    with site.visit(path_of(site, page)) as open_page:
        for theme in ("light", "dark"):
            open_page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            open_page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
            shot(open_page, f"{name}-{theme}-{DESK[0]}")
            styles = open_page.evaluate(STYLES)
            assert styles["strangers"] == [], theme
            assert len(styles["sizes"]) <= SIZES, styles["sizes"]
            assert len(styles["weights"]) <= WEIGHTS, styles["weights"]
            if theme == "dark":
                assert serious_findings(open_page) == []
            open_page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
            shot(open_page, f"{name}-{theme}-{PHONE[0]}")
            if theme == "light":
                assert serious_findings(open_page) == []
            for width in (PHONE[0], 360):
                open_page.set_viewport_size({"width": width, "height": PHONE[1]})
                assert open_page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("page", "size", "at_least"), [("/tasks", DESK, 14), ("/workers", DESK, 20), ("/queues", DESK, 20), ("/tasks", PHONE, 8)]
)
def test_lists_are_dense(site: Site, page: str, size: tuple[int, int], at_least: int) -> None:
    with site.visit(page, width=size[0], height=size[1]) as open_page:
        whole = open_page.evaluate(
            """() => {
              const bar = document.querySelector(".rail").getBoundingClientRect();
              const bottom = bar.top > 0 ? bar.top : innerHeight;
              return [...document.querySelectorAll("tbody tr")].filter((row) => row.getBoundingClientRect().bottom <= bottom).length;
            }"""
        )
        assert whole >= at_least


@pytest.mark.parametrize(
    "page",
    [
        "/tasks",
        "/tasks/failed",
        "/errors",
        "/errors/1",
        "/workers",
        "/queues",
        "/changes",
        "/settings/tokens",
        "/plans/plan",
        "/plans/frozen",
        "/plans/new?state=failed",
        "/queues/emails",
        "/names",
        "/names/billing.charge?range=24h",
        "/workers/celery@host-0",
        "/tasks/run",
        "/schedules",
        "/schedules/nightly",
        "/schedules/calendar",
        "/schedules/new?app=shop&scheduler=z4j",
        "/alerts",
        "/alerts/rules/1",
        "/alerts/channels",
        "/alerts/maintenance",
    ],
)
def test_targets_on_a_phone_are_large(site: Site, page: str) -> None:
    with site.visit(path_of(site, page), width=390, height=844) as open_page:
        small = open_page.evaluate(
            """() => [...document.querySelectorAll("a, button, summary, input, select")]
              .filter((el) => el.checkVisibility({ visibilityProperty: true }) && el.type !== "hidden")
              .filter((el) => !el.closest(".skip, .past, p, dd"))
              .map((el) => {
                let box = el.getBoundingClientRect();
                if (el.matches(".through")) box = el.closest("tr").getBoundingClientRect();
                if (el.matches("svg a")) return [];
                if (el.matches(".query input")) box = el.closest(".query").getBoundingClientRect();
                const boxed = ".choice input[type=radio], .kinds input, .days input, .check input";
                if (el.matches(boxed)) box = el.closest("label").getBoundingClientRect();
                return [el.outerHTML.slice(0, 120), Math.round(box.width), Math.round(box.height)];
              })
              .filter(([, width, height]) => height < 40 || width < 40)"""  # bars of charts stand in a table beside them, too
        )
        assert small == []


@pytest.mark.parametrize("page", ["/tasks", "/tasks/failed", "/queues", "/settings/users"])
def test_focus_is_visible_on_every_control(site: Site, page: str) -> None:
    with site.visit(path_of(site, page)) as open_page:
        seen = set()
        for _ in range(90):
            open_page.keyboard.press("Tab")
            found = open_page.evaluate(
                """() => {
                  const el = document.activeElement;
                  if (!el || el === document.body) return null;
                  const shown = [el, el.closest("tr"), el.closest(".query")].filter(Boolean)
                    .some((of) => getComputedStyle(of).outlineStyle !== "none" && parseFloat(getComputedStyle(of).outlineWidth) >= 2);
                  return [el.outerHTML.slice(0, 120), shown];
                }"""
            )
            if found is None:
                break
            assert found[1], f"no visible focus: {found[0]}"
            seen.add(found[0])
        assert len(seen) >= 15


def test_themes_differ_in_tokens_only(site: Site) -> None:
    boxes = []
    script = """() => [...document.querySelectorAll("body *")].filter((el) => el.checkVisibility() && !el.closest("[data-ago], .strip"))
      .map((el) => [el.tagName, ...["x", "width", "height"].map((of) => Math.round(el.getBoundingClientRect()[of]))])"""
    for theme in ("light", "dark"):
        with site.page(f"/tasks/{site.ids['failed']}", theme=theme) as page:
            # A second may pass between the two: "9 s ago" is narrower than "10 s ago", and what stands beside it moves.
            page.evaluate("""() => document.querySelectorAll("[data-ago]").forEach((el) => { el.textContent = "a while ago"; })""")
            boxes.append(page.evaluate(script))
    assert boxes[0] == boxes[1]


def test_first_load_is_light(site: Site) -> None:
    with site.context() as context:
        page = context.new_page()
        client = context.new_cdp_session(page)
        client.send("Network.enable")
        sizes: dict[str, int] = {}
        urls: dict[str, str] = {}
        client.on("Network.responseReceived", lambda event: urls.update({event["requestId"]: event["response"]["url"]}))
        client.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
        page.goto("/tasks")
        page.wait_for_timeout(600)
        loaded = {urls[id]: size for id, size in sizes.items() if id in urls}
        assert sum("/static/" in url for url in loaded) >= 7
        assert sum(loaded.values()) <= 60 * 1024, loaded
