# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 -- a pattern or a word list is not split in the middle
"""The corpus of data/redaction.json: what must be masked, what must not, and in which surroundings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.wire.redaction import MASK, redact, redact_text

CORPUS = json.loads((Path(__file__).parent / "data" / "redaction.json").read_text("utf-8"))
SHAPES: dict[str, list[str]] = {**CORPUS["shapes"], **CORPUS["more_shapes"]}
NAMES: list[str] = CORPUS["names"] + CORPUS["more_names"]
ORDINARY: list[Any] = CORPUS["ordinary"] + CORPUS["more_ordinary"]
ACCEPTED = [row["payload"] for row in CORPUS["accepted"]]


@pytest.mark.parametrize("name", SHAPES)
def test_a_credential_in_a_text_is_masked_wherever_the_text_is(name: str) -> None:
    text, secret = SHAPES[name]
    assert secret in text
    seen = [
        redact(text)[0], redact([text])[0], redact({"note": {"inner": (text,)}})[0], redact_text(text), redact_text(json.dumps({"m": text})),
        redact_text(repr([text])), redact_text(f"ValueError: {text} happened"), redact_text(f"first line\n{text}\nlast line"),
    ]  # fmt: skip
    for shown in seen:
        assert secret not in str(shown)
        assert MASK in str(shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_under_a_credentials_name_is_masked(name: str) -> None:
    value = "Zq7CanaryOfAName"
    for given in (
        {name: value},
        [{name: value}],
        {"a": {name: [value]}},
        {name.encode(): value},
        [name, value],
        {"name": name, "value": value},
    ):
        shown, is_masked = redact(given)
        assert value not in str(shown), given
        assert is_masked


@pytest.mark.parametrize("payload", [row for row in ORDINARY if row not in ACCEPTED], ids=lambda row: json.dumps(row)[:60])
def test_an_ordinary_value_is_shown_as_it_is(payload: Any) -> None:
    assert redact(payload) == (payload, False)
    assert redact({"inner": [payload]})[0] == {"inner": [payload]}
    text = json.dumps(payload, ensure_ascii=False)
    assert redact_text(text) == text


def test_what_is_masked_in_error_has_its_reason() -> None:
    assert len(ACCEPTED) <= 2
    for row in CORPUS["accepted"]:
        assert row["payload"] in ORDINARY
        assert redact(row["payload"])[1], "it is shown: take it off the list"
        assert row["reason"]


@pytest.mark.parametrize("name", SHAPES)
def test_masking_again_changes_nothing(name: str) -> None:
    once = redact_text(SHAPES[name][0])
    assert redact_text(once) == once


HOSTILE = [
    "a", "=", ":", "-", "eyJ", "eyJ-", "eyJ.", "://", "a://", "@", "a@", "://a:", "password", "password=", 'password="', "password='\\", 'password=\\"',
    "password: ", "--password ", "<a ", "<password>", "<password ", "&lt;password", "token token ", "Bearer ", "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----", "-----BEGIN ", "reset/", "reset/a", "/reset", "%3D", "%22", "\\u0430", "name=", 'name="password" ', '"name": "password", ',
    "['password', ", '["a", ', "mysql -p", "mysql ", "curl -u a ", "the password is ", "code is ", "0000 ", "0" * 4, "DE89 ", "4111 1111 ", "A", "aA0", "aA0+/",
    "$2b$", "a.b-", "hooks.slack.com/", "?sig=", "&amp;sig=", "PuTTY-User-Key-File-2:", "identified by ", "login a password ", "key ", " ", "\n", "\\", "\\\\\"",
    "password=(", "password=[", "secret{", "password -> ", "аа", "＝", "key=value=", "x" * 70 + "_",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_time_grows_with_the_length_only(piece: str) -> None:
    """A megabyte of whatever could make a pattern go back and forth; 256 KB of it are read."""
    text = piece * (1_000_000 // len(piece))
    began = time.thread_time()
    redact_text(text)
    redact(text)
    assert time.thread_time() - began < 4.0
