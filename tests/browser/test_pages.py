# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every page in both themes on a desk and on a phone: it opens clean, nothing scrolls sideways, axe has nothing serious."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
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


RULES = """
(others) => axe.getRules().filter(({ ruleId, tags }) => others.includes(ruleId)
  || (!tags.includes("experimental") && tags.some((tag) => /^wcag2\\d?aa?$/.test(tag)))).map((rule) => rule.ruleId)
"""
OTHERS = (
    "accesskeys", "aria-dialog-name", "aria-text", "aria-treeitem-name", "frame-tested", "label-title-only",
    "scope-attr-valid", "tabindex",
)  # fmt: skip
"""Rules beside those of WCAG 2, levels A and AA, whose violations can be serious; those of nearly all others are moderate or minor."""
OF_COLOURS = ("color-contrast",)
"""The rules that read colours."""
FEW_ROWS = ("tbody tr:nth-child(n + 5)", "main ol > li:nth-child(n + 9)", "main ul > li:nth-child(n + 9)")
"""Rows of lists that are like those before them: computing the contrast of every word takes a second of a processor."""
VIOLATIONS = """
async ([rules, without]) => (await axe.run({ include: document, exclude: without }, {
  resultTypes: ["violations"], preload: false, runOnly: rules, elementRef: false })).violations
"""


def serious_findings(page: Page, rules: Sequence[str] = (), *, without: Sequence[str] = ()) -> list[Any]:
    """Violations of the rules for screen readers, or of some of them, but in elements that a selector of `without` chooses. The rules are
    read once into each document, what is in order is not described, and rules that have no serious violations do not run."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_FILE_PATH.read_text("utf-8"))
    violations: list[Any] = page.evaluate(VIOLATIONS, [list(rules) or all_rules(page), [[selector] for selector in without]])
    return [
        (of["id"], [node["html"][:160] for node in of["nodes"][:3]], of["nodes"][0]["any"][:1])
        for of in violations
        if of["impact"] in ("serious", "critical")
    ]


def all_rules(page: Page) -> list[str]:
    """The names of those that can have serious violations. The page has read them."""
    names: list[str] = page.evaluate(RULES, OTHERS)
    return names


def test_what_a_screen_reader_cannot_read_is_found_each_time(site: Site) -> None:
    with site.page("/news") as page:
        assert serious_findings(page) == []
        page.evaluate("document.querySelector('main').append(document.createElement('img'))")
        page.evaluate(
            "document.querySelector('main').append(Object.assign(document.createElement('p'), { tabIndex: 3, innerText: 'pale words' }))"
        )
        page.evaluate("Object.assign(document.querySelector('main > p:last-child').style, { color: '#ccc', background: '#fff' })")
        assert [found[0] for found in serious_findings(page)] == ["color-contrast", "image-alt", "tabindex"]
        assert [found[0] for found in serious_findings(page, OF_COLOURS)] == ["color-contrast"]


def test_an_error_of_a_page_fails_its_own_test_and_no_other(site: Site) -> None:
    with pytest.raises(AssertionError, match="a fault of this page"), site.page("/news") as page, page.expect_console_message():
        page.evaluate("console.error('a fault of this page')")
    for _ in range(2):
        with site.page("/news"):
            pass


def file_name(page: str) -> str:
    return re.sub("[/?&=]", "-", page.strip("/"))


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_clean(site: Site, page: str, shot: Callable[[Page, str], None]) -> None:
    """In both themes and at both widths. The rules for screen readers look once; contrast is computed in one theme, and in the gallery of
    components in both. `test_every_word_of_a_page_can_be_read` looks at each theme and width."""
    is_gallery, theme_of_contrast = page == "/patterns", ("light", "dark")[PAGES.index(page) % 2]
    with site.page(path_of(site, page)) as open_page:
        for theme in ("light", "dark"):
            open_page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            open_page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
            shot(open_page, f"{file_name(page)}-{theme}-{DESK[0]}")
            styles = open_page.evaluate(STYLES)
            assert styles["strangers"] == [], theme
            assert len(styles["sizes"]) <= SIZES, styles["sizes"]
            assert len(styles["weights"]) <= WEIGHTS, styles["weights"]
            if is_gallery or theme == theme_of_contrast:
                assert serious_findings(open_page, OF_COLOURS, without=FEW_ROWS) == []
            open_page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
            shot(open_page, f"{file_name(page)}-{theme}-{PHONE[0]}")
            assert open_page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert serious_findings(open_page, sorted({*all_rules(open_page)} - {"color-contrast"})) == []
        open_page.set_viewport_size({"width": 360, "height": PHONE[1]})
        assert open_page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("theme", "size"), [(theme, size) for theme in ("light", "dark") for size in (DESK, PHONE)])
def test_every_word_of_a_page_can_be_read(site: Site, page: str, theme: str, size: tuple[int, int]) -> None:
    with site.page(path_of(site, page), theme=theme, width=size[0], height=size[1]) as open_page:
        assert serious_findings(open_page) == []


@pytest.mark.parametrize(
    ("page", "size", "at_least"), [("/tasks", DESK, 14), ("/workers", DESK, 20), ("/queues", DESK, 20), ("/tasks", PHONE, 8)]
)
def test_lists_are_dense(site: Site, page: str, size: tuple[int, int], at_least: int) -> None:
    with site.page(page, width=size[0], height=size[1]) as open_page:
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
    with site.page(path_of(site, page), width=390, height=844) as open_page:
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
    with site.page(path_of(site, page)) as open_page:
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
