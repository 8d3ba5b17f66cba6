# SPDX-License-Identifier: Apache-2.0
"""Masks secrets in arguments, results and errors. Pure, standard library only.

Used by the agent before anything is written, and by the server again.

A value is masked for one of three reasons: its *name* is that of a credential (`credentials.key_names`), its *form* is
(`credentials.token_formats`, `credentials.urls`), or the *text before it* shows it (`credentials.assignments`). The value becomes •••;
what surrounds it is kept.
`docs/redaction.md` lists what is masked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from z4j_agent.contract.interrupts import let_through
from z4j_agent.wire.credentials import assignments, key_names, randomness, token_formats, urls

MASK: Final = "•••"
RULES: Final = 4
"""Incremented with every new rule: a server redacts again the values of agents with older rules."""
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 100
MAX_LEAVES: Final = 2_000
"""Maximum number of values in all: nested containers would otherwise multiply MAX_ITEMS at every depth."""
MAX_TEXT: Final = 2_000
"""Characters of one displayed value; longer text is cut, and cutting never shows half a secret because masking comes first."""
MAX_SCAN: Final = 16_384
"""Characters of one string that are searched for value shapes. A longer string is shown only up to here."""
MAX_TEXT_SCAN: Final = 262_144
"""The same for running text. Of a longer text the end is kept, which in a traceback contains the exception."""

#: Cheap first check: a string without any of these cannot contain a credential that is recognised by the text around it.
_JOINED: Final = re.compile(r"[=:＝：%<>\[\](,'\"-]|→|\d{4}|(?i:pass|secret|token|pwd|code|pin\b|key|kennwort|contrase)")
_SHORT: Final = 8
_PLAIN: Final = 2**63


def is_secret_key(key: object, extra: Iterable[str] = ()) -> bool:
    """Whether a mapping key, keyword or header name is that of a credential, whatever its value."""
    return key_names.level(key, extra) >= key_names.LINK


def redact_string(text: str) -> tuple[str, bool]:
    """Returns the string with all recognised credentials masked, and whether anything was masked or cut off."""
    is_cut = len(text) > MAX_SCAN
    if is_cut:
        text = text[:MAX_SCAN]
    masked = _mask(text)
    return masked, is_cut or masked != text


def redact_text(text: str) -> str:
    """Running text (an exception, a traceback, a log line), masked in the same way. Only the last MAX_TEXT_SCAN characters are kept."""
    if len(text) > MAX_TEXT_SCAN:
        text = text[-MAX_TEXT_SCAN:]
        text = text[text.find("\n") + 1 :] if "\n" in text else _HALF_WORD.sub("…", text, count=1)
        if (end := token_formats.KEY_TAIL.search(text)) is not None and "-----BEGIN" not in text[: end.start()]:
            text = MASK + text[end.end() :]  # the cut went through a private key
    return _mask(text)


_HALF_WORD = re.compile(r"\A\S*")

#: Fields of an agent's answer with text of the application, which may contain a secret.
HOST_TEXTS: Final = frozenset(
    {"error", "note", "notes", "args", "kwargs", "result", "traceback", "reason", "detail", "message", "text", "why", "failed", "unable",
     "options", "stack"}
)  # fmt: skip


def redact_answer(facts: Any, name: str = "") -> Any:
    """Returns an agent's answer with its texts of the application masked. IDs, names and messages that are sent back are unchanged."""
    if isinstance(facts, dict):
        is_of_host = name in HOST_TEXTS
        return {key: redact_answer(value, name if is_of_host else key) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [redact_answer(value, name) for value in facts]
    return redact_text(facts) if isinstance(facts, str) and name in HOST_TEXTS else facts


def _mask(text: str) -> str:
    """Every kind is searched in the unmasked text: masking one first could hide the text by which another is recognised."""
    size = len(text)
    if size < _SHORT or (size < 16 and text.isalnum()) or (size == 36 and text[8] == "-" and randomness.is_uuid(text)):
        return text
    spans = list(token_formats.spans(text)) if size >= 12 else []
    if "/" in text or "?" in text:
        spans += urls.spans(text)
    if ":" in text or "=" in text or _JOINED.search(text):
        spans += assignments.spans(text)
    if not spans:
        return text
    spans.sort()
    parts, shown_to = [], 0
    for start, end in spans:
        if start >= shown_to and end > start:
            parts += [text[shown_to:start], MASK]
        shown_to = max(shown_to, end)
    return "".join((*parts, text[shown_to:]))


def redact(value: Any, extra: Iterable[str] = ()) -> tuple[Any, bool]:
    """Returns a copy of plain data with secrets masked, and whether anything was masked or left out.

    Mappings, sequences and sets are processed to MAX_DEPTH, MAX_ITEMS each and MAX_LEAVES in all; any other object is shown as its type
    name, never by its own `__repr__`, which is code of the application. Raises only the exceptions of `guard.never_swallow`.
    """
    walk = _Walk(tuple(extra))
    return walk.value(value, 0), walk.is_masked


def redact_arguments(args: Iterable[Any], names: Sequence[str], extra: Iterable[str] = ()) -> tuple[list[Any], bool]:
    """Positional arguments like `redact`, each under the name of its parameter in `names`, as far as those go."""
    walk = _Walk(tuple(extra))
    items = list(itertools.islice(args, MAX_ITEMS))
    return [walk.named(names[i], item, 1) if i < len(names) else walk.value(item, 1) for i, item in enumerate(items)], walk.is_masked


class _Walk:
    """One pass over one value."""

    def __init__(self, extra: tuple[str, ...]) -> None:
        self.extra = extra
        self.left = MAX_LEAVES
        self.is_masked = False

    def value(self, value: Any, depth: int) -> Any:
        self.left -= 1
        kind = type(value)
        if value is None or kind is bool or kind is float or (kind is int and -_PLAIN < value < _PLAIN):
            return value  # the most frequent ones, without the checks below
        try:
            return self._text(value) if kind is str else self._value(value, depth)
        except Exception as error:
            let_through(error)  # a container of the application may raise in any method; then its content is unknown
            self.is_masked = True
            return f"<{type(value).__name__}>"

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, bytes | bytearray | memoryview):
            self.is_masked = True
            return f"<{value.nbytes if isinstance(value, memoryview) else len(value)} bytes>"
        if isinstance(value, Mapping | Sequence | Set):
            if depth >= MAX_DEPTH or self.left <= 0:
                self.is_masked = True
                return "…"
            return self._mapping(value, depth) if isinstance(value, Mapping) else self._items(value, depth)
        return self._leaf(value)

    def _text(self, text: str) -> str:
        shown, is_masked = redact_string(text)
        self.is_masked |= is_masked
        return shown

    def _integer(self, value: int) -> Any:
        value = int.__int__(value)
        if value.bit_length() > 4_000:  # its decimal form costs quadratic time, and CPython refuses it
            self.is_masked = True
            return f"<integer of {value.bit_length()} bits>"
        return value

    def named(self, name: Any, value: Any, depth: int) -> Any:
        """Returns a value under a name."""
        level = key_names.level(name, self.extra)
        if level == key_names.NONE or value is None or isinstance(value, bool):
            return self.value(value, depth) if level != key_names.OWNERS or value is None else self._masked()
        try:
            is_hidden = self._is_hidden(value, level, depth)
        except Exception as error:
            let_through(error)
            is_hidden = True
        return self._masked() if is_hidden else self.value(value, depth)

    def _masked(self) -> str:
        self.is_masked = True
        return MASK

    def _is_hidden(self, value: Any, level: int, depth: int) -> bool:
        if level == key_names.OWNERS:
            return True
        if isinstance(value, str):
            text = str.__str__(value)
            return assignments.masks(text[:MAX_SCAN], level)
        if isinstance(value, int | float):
            return isinstance(value, int) and level == key_names.DIGITS and abs(int.__int__(value)) >= 100
        if isinstance(value, Mapping | Sequence | Set) and not isinstance(value, bytes | bytearray | memoryview):
            if level < key_names.LINK:
                return (
                    depth < MAX_DEPTH
                    and not isinstance(value, Mapping)
                    and any(self._is_hidden(item, level, depth + 1) for item in itertools.islice(value, MAX_ITEMS) if isinstance(item, str))
                )
            return _has_text(value, 0)
        return level >= key_names.LINK

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        seen = 0
        named = _named_entry(value) if 2 <= len(value) <= 12 else None
        for key, item in itertools.islice(value.items(), min(MAX_ITEMS, self.left)):
            seen += 1
            name = self._text(key) if type(key) is str else str(self.value(key, MAX_DEPTH))
            if named is not None and key in _VALUE_OF_ENTRY:
                shown[name] = self.named(named, item, depth + 1)
            else:
                shown[name] = self.named(key, item, depth + 1)
        if len(value) > seen:
            shown["…"], self.is_masked = f"{len(value) - seen} more", True
        return shown

    def _items(self, value: Sequence[Any] | Set[Any], depth: int) -> list[Any]:
        if (
            len(value) == 2
            and isinstance(value, Sequence)
            and isinstance(value[0], str | bytes)
            and key_names.level(value[0], self.extra) > key_names.NONE
        ):
            return [self.value(value[0], depth + 1), self._of_pair(value[0], value[1], depth + 1)]
        shown = []
        flag: Any = None
        for item in itertools.islice(value, min(MAX_ITEMS, self.left)):
            is_text = type(item) is str
            shown.append(self.value(item, depth + 1) if flag is None or not is_text else self.named(flag, item, depth + 1))
            flag = item.lstrip("-") if is_text and item[:1] == "-" and 1 < len(item) < key_names.MAX_KEY else None
        if len(value) > len(shown):
            self.is_masked = True
            shown.append(f"… {len(value) - len(shown)} more")
        return shown

    def _of_pair(self, name: Any, value: Any, depth: int) -> Any:
        """The second of two texts, whose first is a credential's name; two names next to each other are a list of names."""
        if isinstance(value, str) and key_names.is_name(value):
            return self.value(value, depth)
        return self.named(name, value, depth)

    def _leaf(self, value: Any) -> str:
        """Standard library scalars are shown as text, the rest by the name of its type."""
        kind = type(value)
        if kind.__name__ in _SAFE_LEAVES and kind.__module__ in ("uuid", "datetime", "decimal"):
            return str(value)
        self.is_masked = True
        return f"<{kind.__name__}>"


_SAFE_LEAVES: Final = frozenset({"UUID", "datetime", "date", "time", "timedelta", "Decimal"})

_NAME_OF_ENTRY: Final = (
    "name",
    "key",
    "field",
    "param",
    "parameter",
    "attribute",
    "label",
    "header",
    "variable",
    "option",
    "setting",
    "property",
    "type",
    "title",
    "id",
    "k",
    "Name",
    "Key",
)
_VALUE_OF_ENTRY: Final = frozenset(
    {"value", "values", "val", "v", "content", "data", "default", "text", "Value", "current", "new", "old", "new_value", "old_value"}
)


def _named_entry(value: Mapping[Any, Any]) -> str | None:
    """The credential's name in `{"name": "password", "value": …}`."""
    if not any(key in value for key in _VALUE_OF_ENTRY):
        return None
    for key in _NAME_OF_ENTRY:
        name = value.get(key)
        if isinstance(name, str) and len(name) <= key_names.MAX_KEY and key_names.level(name) != key_names.NONE:
            return str.__str__(name)
    return None


def _has_text(value: Any, depth: int) -> bool:
    """Whether there is a text, or anything but numbers, in a container."""
    if value is None or isinstance(value, int | float):
        return False
    if isinstance(value, Mapping):
        return depth >= MAX_DEPTH or any(_has_text(item, depth + 1) for item in itertools.islice(value.values(), MAX_ITEMS))
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview):
        return depth >= MAX_DEPTH or any(_has_text(item, depth + 1) for item in itertools.islice(value, MAX_ITEMS))
    return not isinstance(value, str) or bool(value.strip())
