# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every command of z4j in the documents exists, with these options: in a block of code it is parsed whole, in a sentence by its words."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
from collections.abc import Iterator

import pytest

from z4j import resources
from z4j.cli import _parser

INLINE = re.compile(r"`z4j ([a-z][^`]*)`")
NUMBERS = {"ID", "N", "id", "DAYS"}
"""Words in the place of a number."""
OWN = ("demo-worker", "send-message")
"""Processes that the executable starts of itself: see z4j.py."""


def lines_of_code(text: str) -> Iterator[str]:
    is_code, kept = False, ""
    for line in text.splitlines():
        if line.strip().startswith("```"):
            is_code, kept = not is_code, ""
            continue
        found = line.strip().removeprefix("$ ")
        if is_code and (kept or found.startswith("z4j ")):
            kept += found.removesuffix("\\")
            if not found.endswith("\\"):
                yield kept
                kept = ""


def words_of(command: str) -> list[str]:
    text = re.split(r"\s[|>#]\s?|\s2>", command)[0].replace("…", "x")
    words = shlex.split(text.replace("'", '"') if text.count("'") % 2 else text)
    return ["7" if re.fullmatch(r"<?[A-Za-z]+>?", word) and word.strip("<>") in NUMBERS else word for word in words][1:]


COMMANDS = sorted({(name, line) for name, text in resources.documents().items() for line in lines_of_code(text)})
SENTENCES = sorted({(name, found) for name, text in resources.documents().items() for found in INLINE.findall(text)})


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_a_command_in_a_block_of_code_is_accepted(name: str, command: str) -> None:
    said, code = io.StringIO(), None
    with contextlib.redirect_stderr(said):
        try:
            _parser().parse_args(words_of(command))
        except SystemExit as error:
            code = error.code
    assert not code, f"{name}: {command}: {said.getvalue()}"


@pytest.mark.parametrize(("name", "words"), SENTENCES)
def test_a_command_in_a_sentence_exists(name: str, words: str) -> None:
    parser: argparse.ArgumentParser | None = _parser()
    for word in words.split():
        if parser is None or not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not groups:
            break
        if word in OWN:
            break
        assert word in groups[0].choices, f"{name}: z4j {words}: no {word}"
        parser = groups[0].choices[word]
