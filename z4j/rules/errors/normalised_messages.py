# SPDX-License-Identifier: AGPL-3.0-or-later
"""Normalises the message of an exception: values are replaced by `*`, so that one problem has one message. Pure.

Ids, hosts, ports, paths, times, addresses in memory, quoted texts and contents of containers are values. A number that says which error it
is (an errno, a status of HTTP, a signal, an error of a database) is kept, and so are names of attributes, arguments and constraints.
Every expression here is linear in its text, and at most `LIMIT` characters are read.
"""

from __future__ import annotations

import re
from typing import Final

LIMIT: Final = 1_000
"""Characters of the first line that are read."""
LENGTH: Final = 200
"""Characters of a normalised message."""

_NAMING: Final = frozenset(
    {
        "AttributeError", "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "TypeError", "FieldError",
        "FieldDoesNotExist", "NotRegistered", "UndefinedError", "ActorNotFound", "LookupError", "NoReverseMatch", "UndefinedColumn",
    }
)  # fmt: skip
"""Exceptions whose quoted words are names in the code, not values."""

_KEPT: Final = (
    r"(?P<kept>\b(?:[Ee]rror|[Ee]rrno|signal|status(?: code)?|code|HTTP(?:/\d(?:\.\d)?)?)[ =:]{1,2}-?\d{1,5}\b"
    r"|\b[1-5]\d\d (?:Client|Server) Error\b"
    r"|'[1-5]\d\d [A-Z][A-Za-z ]{2,40}')"
)
_NAMED: Final = (
    r"(?P<noun>\b(?:constraint|column|table|relation|attribute|argument|arguments|parameter|module|function|setting|type):? )"
    r"(?P<name>['\"][A-Za-z_][A-Za-z_.]{0,100}['\"])"
)
_VALUES: Final = "|".join(
    (
        r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s'\"<>)\]]+",  # a URL
        r"(?<!\w)'[^'\n]{0,400}'(?!\w)|\"[^\"\n]{0,400}\"|„[^“”\n]{0,400}[“”]|“[^”\n]{0,400}”|«[^»\n]{0,400}»|`[^`\n]{0,400}`",
        r"(?<![\w.+-])[\w.+-]+@[\w.-]+",  # an address of mail, a process at a host
        r"\[[0-9a-fA-F:]{3,45}\](?::\d{1,5})?",  # a host by number
        r"(?<![\w.-])[\w-]+(?:\.[\w-]+)*:\d{2,5}\b",  # host and port
        r"(?<![\w.])(?:[A-Za-z]:)?[/\\][^\s'\",;)]+",  # a path
        r"(?<![\w.-])[+-]?[\w.-]*\d[\w.,:+=-]*",  # a number, a time, hex, an id
    )
)
_PATTERN: Final = re.compile(f"{_KEPT}|{_NAMED}|{_VALUES}")
_NAME: Final = re.compile(r"['\"]([A-Za-z_][A-Za-z_.]{0,100})['\"]")
_LOWER_NAME: Final = re.compile(r"'[a-z_]{1,100}'")
_DATABASE: Final = re.compile(r"\((\d{3,5}), (['\"])(.*)\2\)")
_INNER: Final = re.compile(r"\{[^{}]*\}|\[[^\[\]]*[*,][^\[\]]*\]")
_ERRNO: Final = re.compile(r"\[(Errno -?\d+)\]")
_TOGETHER: Final = re.compile(r"\*(?:[^\w\s*]{0,3}\s?\*)+")
_QUOTED: Final = re.compile(r"'\*'|\"\*\"|\*,(?=\))")
_SPACE: Final = re.compile(r"\s+")
_NESTED: Final = 4


def normalise(message: str, error_type: str = "") -> str:
    """Returns the first line of a message without its values, at most `LENGTH` characters. `error_type` is the name of the exception.

    Idempotent: a normalised message is not changed.
    """
    if error_type == "RecursionError":
        return "maximum recursion depth exceeded"  # CPython adds where it happened to count
    line = first_line(message)
    for _ in range(_NESTED):
        shorter = _once(line, error_type)
        if shorter == line:
            break
        line = shorter
    return line


def first_line(message: str) -> str:
    """Returns the first line of a message that is not empty, of its first `LIMIT` characters."""
    return next((line for line in message[:LIMIT].splitlines() if line.strip()), "").strip()


def _once(line: str, error_type: str) -> str:
    if whole := _DATABASE.fullmatch(line):
        line = f"error {whole[1]}: {whole[3]}"
    line = _ERRNO.sub(r"\1", line)

    def value(match: re.Match[str]) -> str:
        if match["kept"] is not None:
            return match["kept"]
        if match["noun"] is not None:
            return match["noun"] + match["name"]
        text = match[0]
        if (error_type in _NAMING and _NAME.fullmatch(text)) or (error_type == "KeyError" and _LOWER_NAME.fullmatch(text)):
            return text
        return "*" + text[len(text.rstrip(".,:")) :]  # what ends a sentence is not of the value

    line = _PATTERN.sub(value, line)
    for _ in range(_NESTED):
        flat = _INNER.sub("*", line)
        if flat == line:
            break
        line = flat
    line = _TOGETHER.sub("*", _QUOTED.sub("*", line))
    line = _SPACE.sub(" ", line)[:LENGTH].strip()
    ended = line.rstrip(" :;,.*…")
    return ended if ended or not line else "*"
