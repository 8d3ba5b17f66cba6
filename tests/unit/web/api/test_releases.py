# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of releases, and `z4j release` over it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.web.api.test_openapi import ask, shop
from z4j import cli
from z4j.cli.common import client

__all__ = ["shop"]


def test_releases_are_listed_marked_and_compared(shop: Any) -> None:
    listed = ask(shop, "GET", "/releases").json()
    assert [(row["release"], row["app"]) for row in listed["releases"]] == [("1.0", "shop")]
    assert ask(shop, "POST", "/releases", {"release": "feature/x", "app": "shop"}).status_code == 201
    assert ask(shop, "POST", "/releases", {"release": "x", "app": "nobody"}).status_code == 404
    assert ask(shop, "POST", "/releases", {"release": "x", "app": "shop"}, role="viewer").status_code == 403
    assert ask(shop, "GET", "/releases/compare?release=feature/x").json()["names"] == []
    assert ask(shop, "GET", "/releases/compare?release=none").status_code == 404


def test_the_command_line(shop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def send(self: client.Client, method: str, path: str, body: Any) -> Any:
        return ask(shop, method, path, body).json()

    monkeypatch.setattr(client.Client, "_send", send)
    monkeypatch.setenv("Z4J_API_TOKEN", "z4t_test")
    for words, expected in (
        (("mark", "2.0", "--app", "shop"), "is now marked on every chart"), (("list",), "2.0"), (("list", "--json"), '"first_at"'),
        (("compare", "1.0", "--app", "shop"), "too few runs"), (("compare", "1.0", "--json"), '"verdicts"'),
    ):  # fmt: skip
        assert cli.main(["release", *words, "--data", str(tmp_path / "cli")]) == 0
        assert expected in capsys.readouterr().out
