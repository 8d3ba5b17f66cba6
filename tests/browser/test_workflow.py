# SPDX-License-Identifier: AGPL-3.0-or-later
"""The drawing of a workflow in both themes: links lead to tasks, the keyboard reaches them, a phone does not scroll sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, _row_id
from tests.browser.seed import SECOND
from tests.browser.test_pages import serious_findings
from tests.support.wire_client import now

pytestmark = pytest.mark.browser
CHAIN = (("fetch_orders", 4, "succeeded"), ("make_invoices", 9, "succeeded"), ("send_summary", 2, "failed"))


def tell_workflow(site: Site, charges: int) -> list[str]:
    """An import that starts a chain and a group; every seventh charge fails, and every charge sends a mail."""
    worker, at = site.shop.workers[0], now() - 600 * SECOND
    records: list[list[Any]] = []

    def add(name: str, parent: str, start: int, seconds: float, end: str = "succeeded", **meta: Any) -> str:
        task_id, run = site.shop.new_id(), f"{worker.boot}.7"
        head = ["celery", task_id, 0]
        tail = [run, f"shop.{name}", "imports"]
        begun, ended = at + start * SECOND, at + int((start + seconds) * SECOND)
        records.append(
            ["enqueued", *head, begun - 2_000, *tail, None, {"code": "shop.views:41", **({"parent_id": parent} if parent else {}), **meta}]
        )
        records.append(["started", *head, begun, *tail, None])
        if end == "succeeded":
            records.append(["succeeded", *head, ended, *tail, begun, begun, ended - begun, '"ok"', None])
        elif end == "failed":
            records.append(["failed", *head, ended, *tail, begun, begun, ended - begun, None, "CardError", "card host refused", "", None])
        return task_id

    root = add("nightly_import", "", 0, 1.4)
    before, start = root, 2
    for name, seconds, end in CHAIN:
        before = add(name, before, start, seconds, end)
        start += seconds + 1
    for number in range(charges):
        charge = add("charge", root, 2 + number, 1.2 + number % 3, "failed" if number % 7 == 3 else "succeeded")
        add("send_receipt", charge, 5 + number, 0.3)
    again = add("send_summary", "", 60, 2, "running", retry_of=before)
    for begin in range(0, len(records), 90):
        site.shop.send(worker, records[begin : begin + 90])
    return [root, before, again]


@pytest.mark.parametrize("charges", [3, 60], ids=["small", "folded"])
def test_a_workflow_is_drawn(site: Site, charges: int, shot: Callable[[Page, str], None]) -> None:
    root, failed, _ = tell_workflow(site, charges)
    id = _row_id(site.stack, failed)
    with site.page(f"/tasks/{id}/workflow") as page:
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            for width in (1440, 768, 390, 360):
                page.set_viewport_size({"width": width, "height": 900})
                shot(page, f"workflow-{charges}-{theme}-{width}")
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
        page.set_viewport_size({"width": 1440, "height": 900})
        boxes = page.locator("svg.flow a.box")
        assert boxes.count() <= 60
        box = page.get_by_role("link", name="shop.nightly_import, succeeded, ran 1.4 s")
        box.focus()
        assert page.evaluate("getComputedStyle(document.activeElement.querySelector('.paper')).strokeWidth") == "2.5px"
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{site.stack.address}/tasks/{_row_id(site.stack, root)}")
        page.wait_for_load_state()
        shot(page, f"workflow-{charges}-task-1440")
        assert page.locator("[data-workflow] svg.flow a.box").count() <= 24
        page.locator("[data-workflow] header a").click()
        expect(page.get_by_role("heading", name="Workflow")).to_be_visible()


def test_what_failed_becomes_a_plan(site: Site) -> None:
    root, *_ = tell_workflow(site, 8)
    with site.page(f"/tasks/{_row_id(site.stack, root)}/workflow") as page:
        page.get_by_text("Retry failed tasks…").click()
        page.get_by_label("Reason").fill("card host is back")
        page.get_by_role("button", name="Preview retry of").click()
        page.wait_for_url("**/plans/*")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Retry")
