# SPDX-License-Identifier: AGPL-3.0-or-later
"""The numbers in links that work without a sign-in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from z4j.operations.signed_links import KEY_FILE, LINK_LIVES_S, SignedLinks


@pytest.fixture
def links(tmp_path: Path) -> SignedLinks:
    return SignedLinks(tmp_path, "alert")


def test_a_code_leads_to_its_number(links: SignedLinks) -> None:
    assert links.read(links.code(7, 5)) == (7, 5)


def test_a_code_is_valid_after_a_restart(links: SignedLinks, tmp_path: Path) -> None:
    assert SignedLinks(tmp_path, "alert").read(links.code(7, 5)) == (7, 5)


def test_a_code_of_another_purpose_is_not_valid(links: SignedLinks, tmp_path: Path) -> None:
    assert SignedLinks(tmp_path, "incident").read(links.code(7, 5)) is None


def test_a_code_of_another_installation_is_not_valid(links: SignedLinks, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert SignedLinks(other, "alert").read(links.code(7, 5)) is None


@pytest.mark.parametrize("code", ["", "7", "7.x.y", "NQ.aaaaaa.bbbbbb", "\x00", "ü" * 300])
def test_no_other_text_is_a_code(links: SignedLinks, code: str) -> None:
    assert links.read(code) is None


def test_the_number_cannot_be_replaced(links: SignedLinks) -> None:
    assert links.read(links.code(8, 5).partition(".")[0] + "." + links.code(7, 5).partition(".")[2]) is None


def test_a_code_is_valid_for_a_week(links: SignedLinks, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_at = int(time.time())
    code = links.code(7, 5)
    monkeypatch.setattr(time, "time", lambda: signed_at + LINK_LIVES_S)
    assert links.read(code) == (7, 5)
    monkeypatch.setattr(time, "time", lambda: signed_at + LINK_LIVES_S + 2)
    assert links.read(code) is None


def test_only_the_owner_reads_the_key(links: SignedLinks, tmp_path: Path) -> None:
    assert not (tmp_path / KEY_FILE).exists()
    links.code(7, 5)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
