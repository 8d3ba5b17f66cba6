# SPDX-License-Identifier: Apache-2.0

"""Classifies values by their names. Pure.

A name is split into words (`apiKey`, `API-KEY`, `api key`), and its last word decides: `password_reset_at` is a time,
`token_count` a number, `reset_token` a credential.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from z4j_agent.wire.credentials import randomness
from z4j_agent.wire.credentials import words as w
from z4j_agent.wire.credentials.lazy_patterns import lazy

NONE: Final = 0
COUNT: Final = 1
"""A number or a time; a text under it is masked only if it looks random."""
RANDOM: Final = 2
"""Masked if the value looks random."""
LINK: Final = 3
"""A link: masked if it contains a random part, or is not a link."""
SECRET: Final = 4
"""Masked, except numbers, booleans and values without content (`none`, `true`)."""
DIGITS: Final = 5
"""Like SECRET, and numbers of three digits and more are masked too: a PIN, a one-time code, a card."""
OWNERS: Final = 6
"""A name from the owner's settings: always masked."""

MAX_KEY: Final = 64
"""Longer keys are not cached: they are data, not names."""
_PARTS = lazy(r"[^\W_]+", re.UNICODE)
_CAMEL = lazy(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+[a-z]*|[^\x00-\x7f]+")
_NUMERIC: Final = frozenset(
    ["pin", "otp", "totp", "hotp", "tan", "mfa", "2fa", "cvv", "cvc", "cvv2", "cvc2", "csc", "ssn", "pan", "passcode", "pincode", "nip"]
)
#: Letters of other scripts that look like Latin ones.
_ALIKE: Final = str.maketrans(
    "аеорсухіјѕԁһԛԝкмтвнАЕОРСУХІЈЅКМТВНαορνικτυρΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhqwkmtbhAEOPCYXIJSKMTBHaopviktupABEZHIKMNOPTYX"
)
_COMPASS: Final = ("compass", "bypass", "trespass", "encompass", "overpass", "underpass", "surpass", "bypass", "impass", "outpass")
_SECRETARY: Final = ("secretar", "secreti", "secretor", "tokeniz", "tokenis", "authoriz", "authoris")


def level(key: object, extra: Iterable[str] = ()) -> int:
    """Returns the level of a name, NONE to OWNERS; NONE if it is neither text nor bytes. `extra` are further names of secrets, set by the
    owner."""
    if isinstance(key, bytes):
        key = key.decode("utf-8", "replace")
    if not isinstance(key, str):
        return NONE
    key = str.__str__(key)
    return _level(key, tuple(extra)) if len(key) <= MAX_KEY else _level.__wrapped__(key[-1_024:], tuple(extra))


def is_name(text: str) -> bool:
    """Whether a text names a credential. Random letters may contain such a word (`x7Pw…`) and are a value."""
    return level(text) != NONE and not randomness.is_opaque(text)


def flat(word: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(letter for letter in word.lower() if letter.isalnum())


def split(key: str) -> list[str]:
    """`apiKey` as ["api", "key"]; accents are removed, look-alike letters of other scripts replaced."""
    if not key.isascii():
        key = _plain(key)
    words: list[str] = []
    for part in _PARTS.findall(key):
        words += [word.lower() for word in _CAMEL.findall(part)]
    return words


def _plain(key: str) -> str:
    key = "".join(letter for letter in unicodedata.normalize("NFKD", key) if not unicodedata.combining(letter))
    like_ours = key.translate(_ALIKE)
    return like_ours if like_ours.isascii() else key


@functools.lru_cache(4_096)
def _level(key: str, extra: tuple[str, ...]) -> int:
    whole = flat(key if key.isascii() else _plain(key))
    if any(flat(word) in whole for word in extra if word):
        return OWNERS
    return _judge(split(key), whole) if whole else NONE


def _judge(words: list[str], whole: str) -> int:
    while len(words) > 1 and words[-1].isdigit() and words[-1] not in ("2",):
        words = words[:-1]  # `password1`
    if len(words) > 1 and words[-1] == "2" and words[-2] not in ("2",):
        words = words[:-1]
    last = words[-1]
    is_stem = any(stem in whole for stem in w.PASSWORDS) or any(stem in whole for stem in w.STEMS)
    is_word = is_stem or any(word in w.LAST or word in ("token", "tokens", "session", "key") for word in words)
    if len(words) > 1 and (words[0] in w.FIRST_HARMLESS or (words[0] in ("n", "num"))):
        return COUNT if is_word else NONE
    before = words[-2] if len(words) > 1 else ""
    special = _pairs(before, last, words, whole)
    if special is not None:
        return special
    if len(words) > 1 and last in w.COUNTING:
        return COUNT if is_word else NONE
    if len(words) > 1 and last in w.DESCRIBES:
        return NONE
    if last in w.LAST:
        return DIGITS if last in _NUMERIC else SECRET
    if is_stem:
        return _of_stem(whole, last)
    if last in w.LAST_IF_RANDOM:
        return RANDOM
    return _of_ending(words, whole, last)


def _pairs(before: str, last: str, words: list[str], whole: str) -> int | None:
    """The level of the last two words together; None if the last word alone decides."""
    match last:
        case "key" | "keys":
            if before == "":
                return RANDOM
            if before in w.HARMLESS_BEFORE_KEY:
                return NONE
            return SECRET if before in w.BEFORE_KEY or before in ("password", "secret") else RANDOM
        case "code" | "codes":
            return DIGITS if before in w.BEFORE_CODE else NONE
        case "token" | "tokens":
            if (
                last == "tokens"
                and len(words) > 1
                and before not in w.BEFORE_KEY
                and before not in ("refresh", "session", "device", "reset")
            ):
                return COUNT
            if before in w.HARMLESS_BEFORE_TOKEN:
                return NONE
            return RANDOM if before in w.LAX_BEFORE_TOKEN else SECRET
        case "pass":
            return NONE if before in w.HARMLESS_BEFORE_PASS else SECRET
        case "pin":
            return NONE if before in w.HARMLESS_BEFORE_PIN else DIGITS
        case "id" | "ids":
            if before in ("session", "sess", "secret"):
                return SECRET
            return SECRET if whole.endswith(("sessionid", "secretid", "sessid")) else NONE
        case "url" | "uri" | "urls" | "link" | "links" | "href":
            if before in w.BEFORE_LINK or before in w.BEFORE_URL:
                return LINK
            return NONE
        case "webhook" | "webhooks":
            return LINK
        case "dsn":
            return LINK
        case "string" | "str":
            return LINK if before in ("connection", "conn", "connect") else None
        case "phrase" | "words" | "word":
            return SECRET if before in ("seed", "recovery", "secret", "pass", "backup", "wallet", "memorable") else None
        case "answer" | "answers":
            return SECRET if before in ("security", "secret") else None
        case "number" | "no" | "num":
            return DIGITS if before in ("card", "creditcard", "cc", "ssn", "pan", "security", "iban", "cvv") else None
        case "card":
            return RANDOM if before in ("credit", "debit", "bank") else None
        case "account":
            return RANDOM if before == "service" else None
        case "signature":
            return RANDOM
        case "sid":
            return RANDOM
        case "hash":
            return SECRET if before in ("password", "passwd", "pwd", "pass", "pw") else None
        case "header" if before in ("auth", "authorization"):
            return SECRET
        case "value" | "data" if before == "secret":
            return SECRET
    return None


def _of_stem(whole: str, last: str) -> int:
    if any(stem in whole for stem in w.PASSWORDS):
        return DIGITS if "passcode" in whole else SECRET
    if whole.endswith(("cardnumber", "ccnumber", "creditcardno", "pincode")):
        return DIGITS
    if whole.endswith(("connectionstring", "connstring", "connstr")):
        return LINK
    if any(whole.endswith((stem, stem + "s")) for stem in w.STEMS) or last in w.VALUE_AFTER:
        return RANDOM if any(word in whole for word in ("authorized", "authorised")) else SECRET
    return RANDOM


def _of_ending(words: list[str], whole: str, last: str) -> int:
    """Names written in one word (`mytoken`, `smtppass`), and words behind a credential (`secret_prod`)."""
    if last.startswith(_SECRETARY) or last.endswith(_COMPASS):
        return NONE
    if len(words) == 1 and last.endswith(("secret", "token", "pwd", "passwd")):
        return SECRET
    if last.endswith(("smtppass", "mysqlpass", "adminpass", "rootpass", "loginpass", "mailpass", "ftppass", "ldappass", "redispass")):
        return SECRET
    for index, word in enumerate(words[:-1]):
        if word in ("secret", "secrets", "token", "pwd", "jwt", "auth", "credentials", "pw"):
            return SECRET if all(after in w.VALUE_AFTER for after in words[index + 1 :]) else RANDOM
    if "secret" in whole and not any(word.startswith(_SECRETARY) for word in words):
        return RANDOM
    return NONE
