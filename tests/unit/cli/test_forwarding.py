# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j forwarding …` against the API of a server in this process: only the socket is left out."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run

COMMAND, ROLE = "forwarding", "admin"


def test_a_target_from_the_beginning_to_the_end(run: Run, tmp_path: Path) -> None:
    assert run("add", "log shipper", "json", "file:audit", "--action", "delete_*", "--alerts") == (
        0, "Target 1 was added. Try it with `z4j forwarding test 1`.\n",
    )  # fmt: skip
    code, said = run("list")
    assert code == 0
    assert "log shipper" in said
    assert "nothing sent yet" in said
    assert run("test", "1") == (0, "The test message was sent.\n")
    assert json.loads(run("list", "--json")[1])["targets"][0]["actions"] == ["delete_*"]
    assert run("disable", "1") == (0, "Target 1 was disabled.\n")
    assert run("enable", "1") == (0, "Target 1 was enabled.\n")
    assert run("delete", "1") == (0, "Target 1 was deleted.\n")


def test_a_target_nobody_listens_at(run: Run) -> None:
    run("add", "siem", "syslog", "tcp://127.0.0.1:9")
    code, said = run("test", "1")
    assert (code, "did not arrive" in said) == (1, True)


def test_the_address_of_a_webhook_is_no_word_of_the_command_line(run: Run, tmp_path: Path) -> None:
    code, said = run("add", "hook", "webhook", "https://hooks.example/canary")
    assert (code, "canary" in said, "takes a file name" in said) == (2, False, True)
    (tmp_path / "url").write_text("https://hooks.example/canary\n")
    assert run("add", "hook", "webhook", str(tmp_path / "url"))[0] == 0
    assert "canary" not in run("list")[1]
    assert run("add", "x", "syslog", "tls://h", "--ca", str(tmp_path / "missing"))[0] == 2
