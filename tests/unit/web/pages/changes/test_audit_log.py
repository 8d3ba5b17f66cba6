# SPDX-License-Identifier: AGPL-3.0-or-later
"""The audit log, newest first, for those who may read it."""

from __future__ import annotations

import csv
import io
import re

import pytest

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.web.frame import export


def test_the_csv_file_has_every_row(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: they are read a page at a time."""
    monkeypatch.setattr(export, "ROWS", 10)
    for _ in range(12):
        shop.post("/tasks/1/retry", reason="again")
    newest = shop.get("/changes/audit.json").json()["audit"][0]["seq"]
    rows = list(csv.DictReader(io.StringIO(shop.get("/changes/audit.csv").text)))
    numbers = [int(row["seq"]) for row in rows]
    assert numbers == list(range(numbers[0], 0, -1))
    assert numbers[0] >= newest > 12


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "٣", "9" * 20])
@pytest.mark.parametrize("path", ["/changes/audit", "/changes/audit.json"])
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
