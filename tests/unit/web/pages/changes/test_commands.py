# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people asked, newest first, page by page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.database import T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.web.frame import export


def add(shop: Shop, count: int) -> None:
    def write(db: Any) -> None:
        for number in range(count):
            row = CommandRow(
                f"{number:024x}", 1, "celery", "retry_task", None, "", {}, f"number {number}.", "done", {}, "ada", "", T + number, T, None,
                "", T + number, "production", "work",
            )  # fmt: skip
            commands.add_command(db, row)

    shop.write(write)


def test_a_command_is_listed_with_who_asked_and_why(shop: Shop) -> None:
    assert shop.get("/changes").status_code == 200
    assert shop.get("/changes.json").json() == {"commands": []}
    shop.post("/tasks/1/retry", reason=EVIL)
    page = shop.get("/changes")
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    [row] = shop.get("/changes.json").json()["commands"]
    assert (row["action"], row["asked_by"], row["status"], row["task_id"], row["reason"]) == ("retry_task", "ada", "sent", "f0", EVIL)
    lines = shop.get("/changes.csv").text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("created_at,asked_by,action")


def test_every_command_stands_on_exactly_one_page(shop: Shop) -> None:
    add(shop, 205)
    seen: list[str] = []
    href, pages = "/changes", 0
    while href:
        page = shop.get(href)
        seen += re.findall(r"number (\d+)\.", text_of(page))
        found = re.search(r'href="(/changes\?before=\d+)"', page.text)
        href, pages = found[1] if found else "", pages + 1
    assert pages == 3
    assert [int(number) for number in dict.fromkeys(seen)] == list(range(204, -1, -1))


def test_the_csv_file_has_every_row(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: they are read a page at a time."""
    monkeypatch.setattr(export, "ROWS", 10)
    add(shop, 45)
    lines = shop.get("/changes.csv").text.splitlines()[1:]
    assert [number for line in lines for number in re.findall(r"number (\d+)\.", line)] == [str(number) for number in range(44, -1, -1)]


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "٣", "9" * 20])
@pytest.mark.parametrize("path", ["/changes", "/changes.json"])
def test_a_page_that_does_not_exist_is_refused(shop: Shop, path: str, before: str) -> None:
    assert shop.get(f"{path}?before={before}").status_code == 400
