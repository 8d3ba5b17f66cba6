# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parses the text of a Python traceback: frames of the application first, innermost first; those of libraries separately. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from z4j.rules.errors.origins import is_library

_FRAME: Final = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
_LEADS: Final = {
    "The above exception was the direct cause of the following exception:": "caused by",
    "During handling of the above exception, another exception occurred:": "while handling",
}
FRAME_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the stack."""

    file: str
    line: str
    function: str
    source: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One exception of a chain; `lead` is its relation to the one above, empty for the last raised."""

    lead: str
    message: str
    own: tuple[Frame, ...]
    theirs: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A parsed traceback; `text` is its original text."""

    message: str
    parts: tuple[Part, ...]
    text: str


def is_own(file: str) -> bool:
    """Whether a file belongs to the application, not to a library or to Python."""
    return not is_library(file)


def read(message: str, text: str) -> Trace:
    """Parses a traceback. Any other text (another language, truncated) is kept and has no frames."""
    parts: list[Part] = []
    lead = ""
    for lines, following in _blocks(text):
        part = _part(lines, lead="")
        if part.own or part.theirs:
            parts.append(part)
            if len(parts) > 1:
                # Read from the last raised down to its origin: the word belongs to the older of the two.
                parts[-2] = Part(lead, parts[-2].message, parts[-2].own, parts[-2].theirs)
        lead = following
    return Trace(message, tuple(reversed(parts)), text)


def _blocks(text: str) -> list[tuple[list[str], str]]:
    blocks: list[tuple[list[str], str]] = []
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() in _LEADS:
            blocks.append((lines, _LEADS[line.strip()]))
            lines = []
        else:
            lines.append(line)
    blocks.append((lines, ""))
    return blocks


def _part(lines: list[str], lead: str) -> Part:
    frames: list[Frame] = []
    message = ""
    source: list[str] = []
    head: re.Match[str] | None = None

    def end() -> None:
        if head is not None and len(frames) < FRAME_LIMIT:
            code = "\n".join(line[4:] for line in source if line.strip(" ^~"))
            frames.append(Frame(head["file"], head["line"], head["function"] or "", code, is_own(head["file"])))
        source.clear()

    for line in lines:
        if match := _FRAME.fullmatch(line):
            end()
            head = match
        elif line.startswith("    ") and head is not None:
            source.append(line)
        elif line and not line.startswith(("Traceback ", " ")):
            end()
            head = None
            message = f"{message}\n{line}" if message else line
    end()
    inner_first = list(reversed(frames))
    return Part(lead, message, tuple(f for f in inner_first if f.is_own), tuple(f for f in inner_first if not f.is_own))
