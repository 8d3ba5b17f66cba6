# SPDX-License-Identifier: AGPL-3.0-or-later
"""The errors on the pages of a task name, a queue and a worker; each number leads to its tasks."""

from __future__ import annotations

import html
import re

import pytest

from tests.support.database import T, task
from tests.unit.web.pages.conftest import Shop

PAGES = ("/names/shop.ship", "/queues/work?app=shop&environment=production&engine=celery", "/workers/w1?app=shop&environment=production")


@pytest.mark.parametrize("path", PAGES)
def test_errors_are_listed_with_their_tasks(shop: Shop, path: str) -> None:
    shop.tell(task("failed", "o", T, T, T, 9, "", "OSError", "disk full", ""))
    page = shop.get(path).text
    panel = page[page.index('aria-label="Errors"') :].split("</section>")[0]
    assert re.findall(r'href="(/errors/\d+)"', panel) == ["/errors/1", "/errors/2"]
    assert "ValueError: bad" in panel
    assert ">1.0</span>" in panel, "the release of the newest failure"
    hrefs = [html.unescape(href) for href in re.findall(r'href="(/tasks\?[^"]*)"', panel)]
    found = [len(shop.get(href.replace("/tasks", "/tasks.json", 1)).json()["tasks"]) for href in hrefs]
    assert found == [3, 1]
    assert [int(count) for count in re.findall(r">(\d+) failed</a>", panel)] == found


def test_failed_attempts_lead_to_their_tasks(shop: Shop) -> None:
    shop.tell(task("retried", "r", T, T, 9, None, "", "OSError", "disk full", "", name="mail.send"))
    page = shop.get("/names/mail.send").text
    panel = page[page.index('aria-label="Errors"') :].split("</section>")[0]
    [href] = re.findall(r'href="(/tasks\?[^"]*error_group=2[^"]*)"', panel)
    assert "1 attempt" in panel
    listed = shop.get(html.unescape(href).replace("/tasks", "/tasks.json", 1)).json()["tasks"]
    assert [row["task_id"] for row in listed] == ["r"]


def test_without_failures_that_is_said(shop: Shop) -> None:
    shop.tell(task("enqueued", "w", T, name="mail.send"))
    assert "No stored failures." in shop.get("/names/mail.send").text
