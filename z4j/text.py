# SPDX-License-Identifier: AGPL-3.0-or-later
"""Types of JSON values, and text of other sources on a terminal or in a log: characters that would move the cursor, change colours, reverse
the writing or start a line are shown as escapes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A value as JSON has it, such as the argument of a task."""
JsonObject: TypeAlias = dict[str, Json]
"""An object of JSON that the server builds: a frame, a detail of the audit log, parameters of a command."""

UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters, line and paragraph separators, marks that set the direction, what has no width, lone surrogates, tags."""
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def clean(text: str) -> str:
    """Returns a text as one line that a terminal shows as it is."""
    return UNSAFE.sub(_escape, text)


def clean_lines(text: str) -> str:
    """Returns a text with each line cleaned."""
    return "\n".join(map(clean, text.split("\n")))


def clean_json(text: str) -> str:
    """Returns JSON with the same meaning, with unsafe characters as escapes of JSON. Line ends stay: inside strings JSON has no raw
    ones."""
    return UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1], text)


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    if letter in _SHORT:
        return _SHORT[letter]
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
