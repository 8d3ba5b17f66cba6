# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a channel and a rule to an alert that is acknowledged by the link in its message, in a browser and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.support.endpoints import endpoint
from tests.support.stack import wait_for

pytestmark = pytest.mark.browser


def test_a_message_reaches_an_endpoint_and_its_link_acknowledges(site: Site) -> None:
    with endpoint() as server:
        with site.page("/alerts/channels") as page:
            page.locator("summary", has_text="Add a channel").click()
            form = page.locator("form[action='/alerts/channels']")
            form.get_by_label("Name").fill("night call")
            form.get_by_label("Kind").select_option("webhook")
            form.get_by_label("Address", exact=False).fill(f"{server.url}/secret-path")
            form.get_by_role("button", name="Add channel").click()
            row = page.locator("tr", has_text="night call")
            row.wait_for()
            page.wait_for_load_state()
            assert "secret-path" not in page.content()
            row.get_by_role("button", name="Test").click()
            row.get_by_text("active", exact=True).wait_for()
            page.goto("/alerts/rules/new")
            expect(page.get_by_label("Limit", exact=True), "findings have no limit").to_be_hidden()
            page.get_by_label("About").select_option("failures")
            expect(page.get_by_label("Findings", exact=True)).to_be_hidden()
            page.get_by_label("About").select_option("findings")
            page.get_by_label("Name").fill("called")
            page.get_by_label("Fires after").select_option("0")
            page.locator("[name='channel:1']").uncheck()
            page.get_by_role("button", name="Try on last week").click()
            page.get_by_text("Would have fired").wait_for()
            expect(page.get_by_label("Name")).to_have_value("called")
            page.get_by_role("button", name="Save rule").click()
            page.get_by_role("link", name="called").wait_for()
        fired, *_ = wait_for(
            lambda: [body for body in server.bodies if body["kind"] == "fired" and body["rule"] == "called"],
            seconds=40,
            what="the message arrives",
        )
        link = fired["acknowledge_url"].removeprefix(site.stack.address)
        with site.context(scripts=False) as context:
            page = context.new_page()
            page.goto(link)
            page.get_by_role("button", name="Acknowledge").click()
            page.get_by_text("No more reminders are sent").wait_for()
        with site.page(f"/alerts/{fired['alert']}") as page:
            page.get_by_text("acknowledged by link in a message").wait_for()
            expect(page.get_by_text("fired through night call")).to_have_count(1)
