# SPDX-License-Identifier: Apache-2.0
"""What may be shown of arguments, results and errors. Pure, stdlib only; used by the agent before the disk and by the server again.

Two ways to be masked: a *key* that sounds like a credential (in any case, with any joining: `api_key`, `apiKey`, `API-KEY`), or a
*value* that looks like one (JWT, bearer token, private key, URL with a password, a cloud vendor's key). The value becomes •••; the
shape around it stays. What is masked is decided here alone; `docs/redaction.md` lists it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final

from z4j_agent.guard import let_through

MASK: Final = "•••"
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 100
MAX_TEXT: Final = 2_000
"""Characters of one displayed value; longer text is cut, and cutting never shows half a secret because masking comes first."""
MAX_SCAN: Final = 16_384
"""Characters of one string that are searched for value shapes. A longer string is shown only up to here."""

#: Matched against a key with case and joining removed. A stem matches anywhere in the key, a word only as a whole.
KEY_STEMS: Final = (
    "password", "passwd", "passphrase", "secret", "token", "authorization", "authorisation", "credential", "apikey", "accesskey",
    "privatekey", "signingkey", "encryptionkey", "sessionid", "sessionkey", "cookie", "bearer", "connectionstring", "clientsecret",
)  # fmt: skip
KEY_WORDS: Final = frozenset({"pwd", "pass", "auth", "pin", "cvv", "cvc", "otp", "totp", "mfa", "jwt", "dsn", "ssn", "iban", "key"})
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
#: `password=hunter2`, `"token": "abc"`, `Authorization: Basic …` inside running text.
ASSIGNMENT: Final = re.compile(
    rf"(?i)((?<![A-Za-z])[\w.-]{{0,40}}?(?:{_KEY_NAMES})[\w-]{{0,20}}[\"']?\s*(?:=>|[=:])\s*)"
    r"(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&)\]}\"']+)"
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
    flat = "".join(letter for letter in key.lower() if letter.isalnum())
    if flat in KEY_HARMLESS:
        return False
    if any(stem in flat for stem in KEY_STEMS) or any(_flat(word) in flat for word in extra):
        return True
    words = re.split(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])", key)
    return any(word.lower() in KEY_WORDS for word in words[-1:] or ()) and key.lower() != "key"


def _flat(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


def redact_string(text: str) -> tuple[str, bool]:
    """The string with everything that looks like a credential masked, and whether anything was."""
    is_cut = len(text) > MAX_SCAN
    if is_cut:
        text = text[:MAX_SCAN]
    if not _SUSPICIOUS.search(text):
        return text, is_cut
    masked = text
    for shape in VALUE_SHAPES:
        masked = shape.sub(MASK, masked)
    return masked, is_cut or masked != text


def redact_text(text: str) -> str:
    """Running text (an exception, a traceback, a log line): value shapes and `name=value` assignments are masked."""
    masked, _ = redact_string(text)
    return ASSIGNMENT.sub(rf"\1{MASK}", masked) if _ASSIGNS.search(masked) else masked


def redact(value: Any, extra: Iterable[str] = (), depth: int = 0) -> tuple[Any, bool]:
    """A copy of plain data with secrets masked, and whether anything was masked or left out.

    Mappings, sequences and sets are walked to MAX_DEPTH and MAX_ITEMS; anything that is not plain data is shown as its type name,
    never by its own `__repr__`, which is the host's code and could do anything.
    """
    match value:
        case None | bool() | int() | float():
            return _plain_number(value)
        case str():
            return redact_string(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>", True
    if depth >= MAX_DEPTH:
        return "…", True
    try:
        if isinstance(value, Mapping):
            return _redact_mapping(value, extra, depth)
        if isinstance(value, (Sequence, Set)):
            return _redact_items(value, extra, depth)
    except Exception as error:
        let_through(error)  # a host's container may raise from any method; then its content is unknown
        return f"<{type(value).__name__}>", True
    return _redact_leaf(value)


def _plain_number(value: float | bool | None) -> tuple[Any, bool]:
    if type(value) is int and value.bit_length() > 4_000:
        return f"<integer of {value.bit_length()} bits>", True  # its decimal form costs quadratic time, and CPython refuses it
    return value, False


def _redact_mapping(value: Mapping[Any, Any], extra: Iterable[str], depth: int) -> tuple[Any, bool]:
    shown: dict[str, Any] = {}
    is_masked = len(value) > MAX_ITEMS
    for key, item in itertools.islice(value.items(), MAX_ITEMS):
        name, is_key_masked = redact_string(key) if isinstance(key, str) else (str(redact(key, extra, MAX_DEPTH)[0]), False)
        if is_secret_key(key, extra) and item is not None:
            shown[name], is_masked = MASK, True
        else:
            shown[name], is_item_masked = redact(item, extra, depth + 1)
            is_masked |= is_item_masked
        is_masked |= is_key_masked
    if len(value) > MAX_ITEMS:
        shown["…"] = f"{len(value) - MAX_ITEMS} more"
    return shown, is_masked


def _redact_items(value: Sequence[Any] | Set[Any], extra: Iterable[str], depth: int) -> tuple[Any, bool]:
    shown: list[Any] = []
    is_masked = len(value) > MAX_ITEMS
    for item in itertools.islice(value, MAX_ITEMS):
        text, is_item_masked = redact(item, extra, depth + 1)
        shown.append(text)
        is_masked |= is_item_masked
    if len(value) > MAX_ITEMS:
        shown.append(f"… {len(value) - MAX_ITEMS} more")
    return shown, is_masked


_SAFE_LEAVES = frozenset({"UUID", "datetime", "date", "time", "timedelta", "Decimal"})


def _redact_leaf(value: Any) -> tuple[str, bool]:
    """Standard library scalars are shown as text; an exception as its type; the rest by the name of its type."""
    kind = type(value)
    if kind.__name__ in _SAFE_LEAVES and kind.__module__ in ("uuid", "datetime", "decimal"):
        return str(value), False
    return f"<{kind.__name__}>", True
