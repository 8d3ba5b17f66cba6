# SPDX-License-Identifier: AGPL-3.0-or-later
"""Charts in a browser: points are links with names, the keyboard reaches them and can skip them, and no script is needed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site

pytestmark = pytest.mark.browser


def test_points_are_links_that_the_keyboard_reaches_and_can_skip(site: Site) -> None:
    with site.page("/patterns") as page:
        chart = page.locator("figure.chart.lines").first
        points = chart.get_by_role("link", name="finished")
        assert points.count() >= 90, "the name of a point is its title"
        past = chart.get_by_role("link", name="Skip the points of this chart")
        past.focus()
        expect(past).to_be_in_viewport()
        page.keyboard.press("Tab")
        expect(chart.locator(":focus path").first, "the focus is seen").to_have_css("stroke-width", "2px")
        past.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("#"))
        page.keyboard.press("Tab")
        expect(page.locator(".below:focus, .below :focus"), "what follows the link is what follows the points").to_have_count(1)


def test_numbers_are_one_click_away_and_a_bar_leads_to_its_tasks_without_scripts(site: Site) -> None:
    with site.context(width=390, height=844, scripts=False) as context:
        page = context.new_page()
        page.goto("/patterns")
        chart = page.locator("figure.chart.bars").first
        chart.locator("summary").click()
        expect(chart.get_by_role("columnheader", name="succeeded")).to_be_visible()
        chart.locator("svg a[href*='state=failed']").last.click()
        page.wait_for_url("**/tasks?since=*&state=failed")


def test_texts_keep_their_size_on_a_phone(site: Site) -> None:
    with site.page("/patterns", width=390, height=844) as page:
        text = page.locator("figure.chart.lines text").first
        size = page.evaluate("(element) => getComputedStyle(element).fontSize", text.element_handle())
        box = text.bounding_box()
        assert size == "11px"
        assert box is not None
        assert 10 <= box["height"] <= 18, "the drawing is stretched, its texts are not"
        cut = page.evaluate(
            """() => [...document.querySelectorAll("figure.chart text")].filter((text) => {
              if (!text.checkVisibility()) return false;
              const panel = text.closest(".panel").getBoundingClientRect(), box = text.getBoundingClientRect();
              return box.width > 0 && (box.left < panel.left || box.right > panel.right);
            }).map((text) => text.textContent)"""
        )
        assert cut == []
