# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people asked, newest first, page by page; and the audit log, for those who may read it."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest

from tests.support.database import T
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.store.operations import commands
from z4j.store.operations.commands import CommandRow
from z4j.web.pages import changes


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


def test_the_csv_files_have_every_row(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: they are read a page at a time."""
    monkeypatch.setattr(changes, "EXPORT", 10)
    add(shop, 45)
    lines = shop.get("/changes.csv").text.splitlines()[1:]
    assert [number for line in lines for number in re.findall(r"number (\d+)\.", line)] == [str(number) for number in range(44, -1, -1)]
    for _ in range(12):
        shop.post("/tasks/1/retry", reason="again")
    newest = shop.get("/changes/audit.json").json()["audit"][0]["seq"]
    rows = list(csv.DictReader(io.StringIO(shop.get("/changes/audit.csv").text)))
    numbers = [int(row["seq"]) for row in rows]
    assert numbers == list(range(numbers[0], 0, -1))
    assert numbers[0] >= newest > 12


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "٣", "9" * 20])
@pytest.mark.parametrize("path", ["/changes", "/changes/audit", "/changes.json", "/changes/audit.json"])
def test_a_page_that_does_not_exist_is_refused(shop: Shop, path: str, before: str) -> None:
    assert shop.get(f"{path}?before={before}").status_code == 400


@pytest.mark.parametrize("path", ["/changes/audit", "/changes/audit.json", "/changes/audit.csv"])
def test_the_audit_log_is_for_auditors_and_administrators(shop: Shop, path: str) -> None:
    for name, status in (("vera", 403), ("olga", 403), ("otto", 200), ("ada", 200)):
        shop.become(name)
        assert shop.get(path).status_code == status, name
    shop.become("vera")
    assert 'href="/changes/audit"' not in shop.get("/changes").text


def test_the_audit_log_is_the_chain_newest_first(shop: Shop) -> None:
    shop.post("/tasks/1/retry", reason=EVIL)
    rows = shop.get("/changes/audit.json").json()["audit"]
    assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)
    assert (rows[0]["action"], rows[0]["actor"], rows[0]["outcome"]) == ("retry_task", "ada", "done")
    assert all(re.fullmatch(r"[0-9a-f]{64}", row["mac"]) for row in rows)
    page = shop.get("/changes/audit")
    assert EVIL in text_of(page)
    assert EVIL not in page.text
    assert shop.server.audit.signer.key_id in page.text


def test_a_log_that_was_changed_says_so_on_the_page(shop: Shop) -> None:
    assert 'class="notice bad' not in shop.get("/changes/audit").text
    shop.server.audit.raise_alarm(7, f"row 7 was changed {EVIL}")
    page = shop.get("/changes/audit")
    assert f"row 7 was changed {EVIL}" in text_of(page)
    assert EVIL not in page.text
