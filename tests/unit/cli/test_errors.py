# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j errors …` against the API of a server in this process: only the socket is left out."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from z4j.cli.errors import seconds
from z4j.exceptions import BadInput

COMMAND, ROLE = "errors", "operator"


def test_an_error_is_listed_shown_and_changed(run: Run) -> None:
    code, said = run("list")
    assert code == 0
    assert "ValueError: bad" in said
    assert json.loads(run("list", "--app", "shop", "--json")[1])["errors"][0]["failed"] == 3
    for words, expected in (
        (("resolve", "1", "--reason", "fixed"), "resolved"), (("reopen", "1"), "unresolved"),
        (("resolve", "1", "--next-release"), "resolved"),
        (("ignore", "1", "--for", "7d", "--rate", "5"), "ignored"), (("note", "1", "known", "--runbook", "https://wiki.example/"), "known"),
    ):  # fmt: skip
        code, said = run(*words)
        assert code == 0, said
        assert expected in said
    said = run("show", "1")[1]
    for word in ("ValueError: bad", "shop.ship", "resolved in the next release", "https://wiki.example/"):
        assert word in said
    assert "z4j plan execute 1" in run("retry", "1")[1]
    assert json.loads(run("show", "1", "--json")[1])["error"]["state"] == "ignored"


def test_what_is_refused_sets_the_exit_code(run: Run) -> None:
    for words in (("show", "99"), ("split", "1"), ("merge", "1", "1"), ("assign", "1", "nobody"), ("ignore", "1", "--for", "soon")):
        code, said = run(*words)
        assert code != 0
        assert said
    assert run("assign", "1")[0] == 0


def test_times() -> None:
    assert [seconds(text) for text in ("90m", "12h", "7d")] == [5_400, 43_200, 604_800]
    for text in ("", "7", "d", "1w", "-1d", "٣d"):
        with pytest.raises(BadInput):
            seconds(text)
