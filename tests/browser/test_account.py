# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two-factor authentication, set up and used in a browser without any script."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from z4j.rules import totp

pytestmark = pytest.mark.browser
PASSWORD = "a long enough passphrase"


def fill(page: Page, label: str, text: str) -> None:
    page.get_by_role("textbox", name=label).fill(text)


def test_a_second_step_is_set_up_and_asked_for_without_scripts(site: Site, shot: Callable[[Page, str], None]) -> None:
    site.stack.command("user", "add", "grace", "--role", "operator", "--password-stdin", stdin=PASSWORD + "\n")
    with site.context(scripts=False, width=1440) as context:
        context.clear_cookies()
        page = context.new_page()
        page.goto("/login")
        fill(page, "Name", "grace")
        fill(page, "Password", PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto("/settings/account")
        shot(page, "account-off")
        page.get_by_role("button", name="Set up two-factor authentication").click()
        drawing = page.get_by_role("img", name="QR code")
        drawing.wait_for()
        page.wait_for_load_state()
        assert drawing.bounding_box()["width"] == 220  # type: ignore[index]
        shot(page, "account-enrolling")
        secret = base64.b32decode(page.locator(".steps code").inner_text().replace(" ", ""))
        fill(page, "Code", totp.code_at(secret, int(time.time()) // 30))
        page.get_by_role("button", name="Enable two-factor authentication").click()
        expect(page.locator(".codes code")).to_have_count(totp.RECOVERY_CODES)
        page.wait_for_load_state()
        codes = page.locator(".codes code").all_inner_texts()
        shot(page, "account-on")
        page.set_viewport_size({"width": 390, "height": 844})
        shot(page, "account-on-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        context.clear_cookies()
        page.goto("/login")
        fill(page, "Name", "grace")
        fill(page, "Password", PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        shot(page, "login-code")
        fill(page, "Code", codes[0])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/tasks")
    with site.context(scripts=False, theme="dark", width=390, height=844) as context:
        page = context.new_page()
        page.goto("/settings/account")
        page.get_by_role("button", name="Set up two-factor authentication").click()
        page.get_by_role("img", name="QR code").wait_for()
        page.wait_for_load_state()
        shot(page, "account-enrolling-dark-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
