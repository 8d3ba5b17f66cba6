# SPDX-License-Identifier: AGPL-3.0-or-later
"""A command of `z4j` against the API of a server in this process: only the socket is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.web.api.test_openapi import ask, shop
from z4j import cli
from z4j.cli.common import client

__all__ = ["shop"]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    request: pytest.FixtureRequest, shop: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Runs `z4j COMMAND …` with the token of ROLE, both of the test's module. Returns its exit code and what it printed."""
    command, role = request.module.COMMAND, request.module.ROLE

    def send(self: client.Client, method: str, path: str, body: Any) -> Any:
        answer = ask(shop, method, path, body, role)
        if answer.status_code >= 300:
            raise client.BY_STATUS[answer.status_code](answer.json()["detail"])
        return answer.json()

    monkeypatch.setattr(client.Client, "_send", send)
    monkeypatch.setenv("Z4J_API_TOKEN", "z4t_test")

    def typed(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.main([command, *words, "--data", str(tmp_path / "cli")])
        said = capsys.readouterr()
        return code, said.out + (said.err if code else "")

    return typed
