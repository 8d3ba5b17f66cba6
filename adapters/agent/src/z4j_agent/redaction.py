# SPDX-License-Identifier: Apache-2.0
"""What may be shown of arguments, results and errors. Pure, stdlib only; used by the agent before the disk and by the server again.

Two ways to be masked: a *key* that sounds like a credential (in any case, with any joining: `api_key`, `apiKey`, `API-KEY`), or a
*value* that looks like one (JWT, bearer token, private key, URL with a password, a cloud vendor's key). The value becomes •••; the
shape around it stays. What is masked is decided here alone; `docs/redaction.md` lists it.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from z4j_agent.guard import let_through

MASK: Final = "•••"
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 100
MAX_LEAVES: Final = 2_000
"""Values looked at in all: nested containers would otherwise multiply MAX_ITEMS at every depth."""
MAX_TEXT: Final = 2_000
"""Characters of one displayed value; longer text is cut, and cutting never shows half a secret because masking comes first."""
MAX_SCAN: Final = 16_384
"""Characters of one string that are searched for value shapes. A longer string is shown only up to here."""
MAX_TEXT_SCAN: Final = 262_144
"""The same for running text. Of a longer one the end is kept, which in a traceback says what happened."""

#: Matched against a key with case and joining removed. A stem matches anywhere in the key, a word only as a whole.
KEY_STEMS: Final = (
    "password", "passwd", "passphrase", "secret", "token", "authorization", "authorisation", "credential", "apikey", "accesskey",
    "privatekey", "signingkey", "encryptionkey", "sessionid", "sessionkey", "cookie", "bearer", "connectionstring", "clientsecret",
)  # fmt: skip
KEY_WORDS: Final = frozenset({"pwd", "pass", "auth", "pin", "cvv", "cvc", "otp", "totp", "mfa", "jwt", "dsn", "ssn", "iban", "key"})
#: Keys that only order, find or route things.
HARMLESS_BEFORE_KEY: Final = frozenset(
    {"", "sort", "cache", "primary", "foreign", "routing", "partition", "group", "order", "lookup", "dict", "lock", "row", "object",
     "idempotency", "shard", "hash", "unique", "dedup", "map", "index"}
)  # fmt: skip
#: Keys that contain a stem and are no secrets.
KEY_HARMLESS: Final = frozenset({"tokens", "tokencount", "maxtokens", "passwordresetat", "passwordlength", "tokenizer", "tokenize"})

VALUE_SHAPES: Final = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"),  # JWT
    re.compile(r"(?i)\b(?:bearer|basic|token)\s+[A-Za-z0-9+/._~=-]{12,}"),
    re.compile(r"(?<=://)[^\s/?#@'\"]*:[^\s/?#@'\"]+(?=@)"),  # user:password in a URL
    re.compile(r"\b(?:AKIA|ASIA|AGPA|AROA)[A-Z0-9]{16}\b"),  # AWS
    re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),  # Google
    re.compile(r"\b(?:gh[opsur]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,})"),
    re.compile(r"\b(?:sk|pk|rk)[-_](?:live|test|proj|ant|or)[-_A-Za-z0-9]{16,}"),  # Stripe and model vendors
    re.compile(r"\bsk-[A-Za-z0-9]{24,}"),
    re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack
    re.compile(r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),  # SendGrid
    re.compile(r"\bz4[ak]_[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]{20,})?"),  # our own
)
_KEY_NAMES = "|".join((*(re.sub("(?<=[a-z])(?=key|string|id|secret)", "[-_ ]?", stem) for stem in KEY_STEMS), "pwd"))
#: `password=hunter2`, `"token": "abc"`, `Authorization: Basic …` inside running text. A cookie header is masked to its end.
ASSIGNMENT: Final = re.compile(
    rf"(?i)((?:{_KEY_NAMES})[\w-]{{0,20}}[\"']?\s{{0,20}}(?:=>|[=:])\s{{0,20}})"
    r"(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|(?<=cookie: )[^\r\n]+|(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&)\]}\"']+)"
)
#: Cheap first look: a string with none of these cannot match any shape.
_SUSPICIOUS = re.compile(
    r"(?i)eyJ|BEGIN |bearer|basic|token|://[^\s/]*@|A[KSGR][IPO]A|AIza|gh[opsur]_|github_pat|glpat|[sprk]k[-_]|xox|SG\.|z4[ak]_"
)
_ASSIGNS = re.compile(rf"(?i){_KEY_NAMES}")


def is_secret_key(key: object, extra: Iterable[str] = ()) -> bool:
    """Whether a mapping key, keyword or header name sounds like a credential."""
    if isinstance(key, bytes):
        key = key.decode("utf-8", "replace")
    if not isinstance(key, str):
        return False
    key = str.__str__(key)
    return _sounds_secret(key, tuple(extra)) if len(key) <= MAX_KEY else _sounds_secret.__wrapped__(key[:MAX_SCAN], tuple(extra))


MAX_KEY: Final = 64
"""Longer keys are not remembered: they are data, not names."""


@functools.lru_cache(2_048)
def _sounds_secret(key: str, extra: tuple[str, ...]) -> bool:
    flat = _flat(key)
    if flat in KEY_HARMLESS:
        return False
    if any(stem in flat for stem in KEY_STEMS) or any(_flat(word) in flat for word in extra):
        return True
    words = re.split(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])", key)
    last = words[-1].lower()
    if last == "key":
        return "".join(words[:-1]).lower() not in HARMLESS_BEFORE_KEY
    return last in KEY_WORDS


def _flat(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


def redact_string(text: str) -> tuple[str, bool]:
    """The string with everything that looks like a credential masked, and whether anything was masked or cut off."""
    is_cut = len(text) > MAX_SCAN
    if is_cut:
        text = text[:MAX_SCAN]
    masked = _mask(text)
    return masked, is_cut or masked != text


def redact_text(text: str) -> str:
    """Running text (an exception, a traceback, a log line), masked alike. Of more than MAX_TEXT_SCAN characters the end is kept."""
    if len(text) > MAX_TEXT_SCAN:
        text = text[-MAX_TEXT_SCAN:]
        text = text[text.find("\n") + 1 :] if "\n" in text else _HALF_WORD.sub("…", text, count=1)
        if (end := _KEY_END.search(text)) is not None and "-----BEGIN" not in text[: end.start()]:
            text = MASK + text[end.end() :]  # the cut went through a private key
    return _mask(text)


_HALF_WORD = re.compile(r"\A\S*")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


def _mask(text: str) -> str:
    """Every shape is sought in the text as it was: masking one first could hide the words by which another is known."""
    found: list[tuple[int, int]] = []
    if _SUSPICIOUS.search(text):
        found = [match.span() for shape in VALUE_SHAPES for match in shape.finditer(text)]
    if ("=" in text or ":" in text) and _ASSIGNS.search(text):
        found += [(match.end(1), match.end()) for match in ASSIGNMENT.finditer(text)]
    if not found:
        return text
    parts, shown_to = [], 0
    for start, end in sorted(found):
        if start >= shown_to:
            parts += [text[shown_to:start], MASK]
        shown_to = max(shown_to, end)
    return "".join((*parts, text[shown_to:]))


def redact(value: Any, extra: Iterable[str] = ()) -> tuple[Any, bool]:
    """A copy of plain data with secrets masked, and whether anything was masked or left out.

    Mappings, sequences and sets are walked to MAX_DEPTH, MAX_ITEMS each and MAX_LEAVES in all; anything that is not plain data is
    shown as its type name, never by its own `__repr__`, which is the host's code and could do anything. Never raises for what it
    is given, except what `guard.never_swallow` names.
    """
    walk = _Walk(tuple(extra))
    return walk.value(value, 0), walk.is_masked


class _Walk:
    """One pass over one value."""

    def __init__(self, extra: tuple[str, ...]) -> None:
        self.extra = extra
        self.left = MAX_LEAVES
        self.is_masked = False

    def value(self, value: Any, depth: int) -> Any:
        self.left -= 1
        try:
            return self._value(value, depth)
        except Exception as error:
            let_through(error)  # a host's container may raise from any method; then its content is unknown
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

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        seen = 0
        for key, item in itertools.islice(value.items(), min(MAX_ITEMS, self.left)):
            seen += 1
            name = self._text(key) if type(key) is str else str(self.value(key, MAX_DEPTH))
            if item is not None and is_secret_key(key, self.extra):
                shown[name], self.is_masked = MASK, True
            else:
                shown[name] = self.value(item, depth + 1)
        if len(value) > seen:
            shown["…"], self.is_masked = f"{len(value) - seen} more", True
        return shown

    def _items(self, value: Sequence[Any] | Set[Any], depth: int) -> list[Any]:
        shown = [self.value(item, depth + 1) for item in itertools.islice(value, min(MAX_ITEMS, self.left))]
        if len(value) > len(shown):
            self.is_masked = True
            shown.append(f"… {len(value) - len(shown)} more")
        return shown

    def _leaf(self, value: Any) -> str:
        """Standard library scalars are shown as text, the rest by the name of its type."""
        kind = type(value)
        if kind.__name__ in _SAFE_LEAVES and kind.__module__ in ("uuid", "datetime", "decimal"):
            return str(value)
        self.is_masked = True
        return f"<{kind.__name__}>"


_SAFE_LEAVES: Final = frozenset({"UUID", "datetime", "date", "time", "timedelta", "Decimal"})
