# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads secrets from a file, standard input or the environment, never from the command line.

Every user of a machine can read every command line (`ps`, /proc/*/cmdline), and shells keep them in their history.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from z4j.cli.common.output import say
from z4j.exceptions import BadInput
from z4j.text import Json, JsonObject
from z4j_agent.wire.redaction import redact, redact_text

LONGEST: Final = 1024 * 1024
STDIN: Final = "-"
ARGUMENTS: Final = 'JSON file with {"args": […], "kwargs": {…}}, or - for standard input. Use it for values that other users must not see.'
"""Help of `--arguments`."""


def read_secret(given: str | None, option: str, variable: str) -> str:
    """Returns the first line of the file `given`, of standard input for "-", or the environment variable; "" if none of them is set.

    Raises BadInput, without repeating `given`, if that is the secret itself.
    """
    if given is None:
        return os.environ.get(variable, "").strip()
    if given != STDIN and (given.startswith(("z4a_", "z4k_", "z4p_", "z4j+")) or "://" in given):
        raise BadInput(
            f"{option} takes a file name: every user of this machine can read a secret on a command line. No changes were made.",
            f"Write the secret to a file and pass the file name, pass - and use standard input, or set {variable}. Revoke this secret "
            "(`z4j token revoke`) if other people use this machine.",
        )
    return _read(given, option).partition("\n")[0].strip()


def read_arguments(given: str | None) -> tuple[list[Json] | None, JsonObject | None]:
    """Returns (args, kwargs) of `--arguments`: a JSON object with a list `args` and an object `kwargs`, each of which may be missing
    (None). Raises BadInput."""
    if given is None:
        return None, None
    try:
        document = json.loads(_read(given, "--arguments"))
    except ValueError:
        document = None
    args, kwargs = (document.get("args"), document.get("kwargs")) if isinstance(document, dict) else (None, None)
    if not isinstance(document, dict) or not document.keys() <= {"args", "kwargs"} or not isinstance(args, list | None):
        raise BadInput('--arguments requires a JSON object such as {"args": [1], "kwargs": {"name": "x"}}. No changes were made.')
    if not isinstance(kwargs, dict | None):
        raise BadInput('--arguments: "kwargs" must be an object. No changes were made.')
    return args, kwargs


def warn_of_values(args: list[Json], kwargs: JsonObject, reason: str = "") -> None:
    """Warns if a value on the command line looks like a secret. This is not an error: the name of an argument alone can match."""
    hidden = [name for name, value in kwargs.items() if redact({name: value})[1]]
    if redact(args)[1]:
        hidden.append("a positional argument")
    if redact_text(reason) != reason:
        hidden.append("the reason")
    if hidden:
        say(
            f"z4j: {', '.join(hidden)} looks like a secret. Every user of this machine can read a command line.\n"
            "     Use --arguments FILE (- for standard input) instead.",
            is_error=True,
        )


def arguments_of(words: argparse.Namespace) -> tuple[list[Json], JsonObject]:
    """Returns (args, kwargs) of `--arguments`, `--arg` and `--kwarg` together. Raises BadInput."""
    args, kwargs = read_arguments(words.arguments)
    more, named = [value_of(text) for text in words.arg], pairs(words.kwarg)
    warn_of_values(more, named, words.reason)
    return (args or []) + more, (kwargs or {}) | named


def value_of(text: str) -> Any:
    """Parses JSON, or returns the text itself if it is not JSON: `5` is a number, `five` a text, `"5"` a text too."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs(texts: list[str]) -> JsonObject:
    """Parses texts of the form NAME=JSON. Raises BadInput."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"{text} is not NAME=VALUE. No changes were made.")
        values[name] = value_of(value)
    return values


def _read(given: str, option: str) -> str:
    try:
        if given == STDIN:
            return sys.stdin.read(LONGEST)
        with Path(given).open(encoding="utf-8") as file:
            return file.read(LONGEST)
    except (OSError, UnicodeError) as error:  # the name is not repeated: it may be the secret
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise BadInput(
            f"The file given with {option} could not be read: {why}. No changes were made.",
            "Use a file name, or - for standard input. The option does not accept the value itself.",
        ) from error
