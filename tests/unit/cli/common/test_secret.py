# SPDX-License-Identifier: AGPL-3.0-or-later
"""No command takes a secret as a word of the command line, which every user of the machine can read."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from z4j import cli
from z4j.cli.common import client, secret
from z4j.cli.common.secret import read_arguments, read_secret
from z4j.exceptions import BadInput

TOKEN = "z4k_Zq7CanaryOfTheShell5tX"
URL = "z4j+ws://z4a_Zq7CanaryOfTheShell.Zq7CanarySeal@127.0.0.1:7700"


def test_a_secret_comes_from_a_file_standard_input_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_secret(str(tmp_path / "token"), "--token", "Z4J_API_TOKEN") == TOKEN
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"  {TOKEN}\nmore\n"))
    assert read_secret("-", "--token", "Z4J_API_TOKEN") == TOKEN
    monkeypatch.setenv("Z4J_API_TOKEN", TOKEN)
    assert read_secret(None, "--token", "Z4J_API_TOKEN") == TOKEN
    monkeypatch.delenv("Z4J_API_TOKEN")
    assert read_secret(None, "--token", "Z4J_API_TOKEN") == ""


@pytest.mark.parametrize(
    "words",
    [
        ("task", "list", "--token", TOKEN),
        ("queue", "list", "--token", "Zq7CanaryWithoutPrefix"),
        ("token", "create", "--app", "shop", "--seal-from", URL),
        ("token", "create", "--app", "shop", "--seal-from", "z4a_Zq7Canary.key"),
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--data", str(tmp_path / "data")]) == BadInput.exit_code
    said = capsys.readouterr()
    assert "Zq7Canary" not in said.out + said.err
    assert "standard input" in said.err
    assert "No changes were made" in said.err


def test_every_option_that_could_take_a_secret_takes_a_file() -> None:
    """A new option with such a name is found here."""
    named: dict[str, str | None] = {}

    def walk(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for each in action.choices.values():
                    walk(each)
            elif any(word in option for option in action.option_strings for word in ("token", "secret", "password", "seal", "credential")):
                named[action.option_strings[0]] = action.metavar if isinstance(action.metavar, str) else None

    walk(cli._parser())
    takes_value = {option: metavar for option, metavar in named.items() if option not in ("--password-stdin", "--connections-per-token")}
    assert takes_value == {"--token": "FILE", "--seal-from": "FILE"}


class Posted(Exception):
    """What would have been sent."""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("task", "run", "f", "--app", "shop", "--engine", "rq"), {"args": [7, "x", 8], "kwargs": {"password": TOKEN, "n": 1}}),
        (
            ("schedule", "create", "s", "--app", "shop", "--task", "f", "--every", "60"),
            {"args": [7, "x", 8], "kwargs": {"password": TOKEN, "n": 1}},
        ),
        (("schedule", "edit", "5", "--every", "60"), {"args": [7, "x", 8], "kwargs": {"password": TOKEN, "n": 1}}),
    ],
)
def test_arguments_come_from_standard_input(words: tuple[str, ...], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def post(self: Any, path: str, **body: Any) -> Any:
        raise Posted(path, body)

    monkeypatch.setenv("Z4J_API_TOKEN", TOKEN)
    monkeypatch.setattr(client.Client, "post", post)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"args": [7, "x"], "kwargs": {"password": TOKEN}})))
    with pytest.raises(Posted) as sent:
        cli.main([*words, "--arguments", "-", "--arg", "8", "--kwarg", "n=1"])
    body = sent.value.args[1]
    assert {name: body[name] for name in ("args", "kwargs")} == expected


def test_an_edit_takes_places_from_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def post(self: Any, path: str, **body: Any) -> Any:
        raise Posted(path, body)

    (tmp_path / "arguments").write_text(json.dumps({"args": ["ada"], "kwargs": {"password": TOKEN}}))
    monkeypatch.setenv("Z4J_API_TOKEN", TOKEN)
    monkeypatch.setattr(client.Client, "post", post)
    with pytest.raises(Posted) as sent:
        cli.main(["task", "edit", "5", "--arguments", str(tmp_path / "arguments"), "--arg", "2=true"])
    assert sent.value.args[1]["edit"] == {"args": {"0": "ada", "2": True}, "kwargs": {"password": TOKEN}}


@pytest.mark.parametrize("text", ["[]", "no JSON", '{"args": {}}', '{"kwargs": []}', '{"arguments": []}'])
def test_what_is_no_arguments_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(BadInput):
        read_arguments(str(tmp_path / "a"))


def test_a_value_that_looks_like_a_secret_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    words = argparse.Namespace(
        arguments=None, arg=["5", f"Bearer {TOKEN}"], kwarg=["password=hunter2-9x", "colour=red"], reason="token=abcdef12"
    )
    assert secret.arguments_of(words) == ([5, f"Bearer {TOKEN}"], {"password": "hunter2-9x", "colour": "red"})
    said = capsys.readouterr().err
    assert "password, a positional argument, the reason looks like a secret" in said
    assert "hunter2" not in said
    secret.arguments_of(argparse.Namespace(arguments=None, arg=["5"], kwarg=["has_password=true"], reason="the mail host is back"))
    assert capsys.readouterr().err == ""
