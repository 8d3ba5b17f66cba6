# SPDX-License-Identifier: Apache-2.0


"""Credentials in links: users and passwords before an `@`, and links that perform an action (reset, confirm, invite). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from z4j_agent.wire.credentials import randomness
from z4j_agent.wire.credentials.lazy_patterns import lazy

Span = tuple[int, int]

_URL: Final = lazy(r"(?i)(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,40}:\\?/\\?/([^\s\"'<>`\\]+)")
_PORT: Final = lazy(r"(?:\[[0-9a-fA-F:.]*\]|[^:]*):\d{0,5}(?:,.*)?")
_ACTS: Final = lazy(
    r"(?i)(?:reset|confirm|invit|verif|activat|magic|unsubscri|opt-?out|log-?in|sign-?in|sign-?up|recover|passwordless|one-?time|otl|password"
    r"|impersonat|sso|auth|token|secret|ticket|webhook|callback|register|registration|accept|join|approv|unlock|onboard|claim|rsvp|validat"
    r"|email-?change|change-?email|delete-?account|hooks?(?=/)|/(?:pw|r|i|v|l|u|c|t|s)(?=/[\w-]{24}))[\w.-]{0,30}([/?#=])"
)
_LINK_END: Final = lazy(r"[\s\"'<>`\\,;)\]}]|\Z")
_SEGMENT: Final = lazy(r"(?<=[/=&#?])[^\s/?#&=\"'<>]{6,}")
_PARTS: Final = lazy(r"[^/?#&=]+")
_SIGNED: Final = lazy(
    r"(?i)(?<=[?&;])(?:amp;)?(?:x-(?:amz|goog|oss|cos|ms)-(?:signature|credential|security-token)|signature|sig|policy|key-pair-id|hmac|hdnts|hdnea"
    r"|st|se_sig|token|auth|code|key|ticket|hash|h|t|k|s|otp|nonce|state|verifier|jwt|access|secret|pass|pw|password|passwd|pwd)=([^&\s\"'<>#;]+)"
)
_ALWAYS: Final = frozenset(
    [
        "signature",
        "sig",
        "x-amz-signature",
        "x-goog-signature",
        "x-oss-signature",
        "x-amz-credential",
        "x-goog-credential",
        "x-amz-security-token",
    ]
)


def spans(text: str) -> Iterator[Span]:
    """Yields (start, end) of the credentials in links, in no order; they may overlap."""
    if "@" in text and ("://" in text or ":\\/\\/" in text or ":/\\/" in text):
        for match in _URL.finditer(text):
            yield from _user(text, match.start(1), match.end(1))
    if "=" in text and ("?" in text or "&" in text):
        for match in _SIGNED.finditer(text):
            name = match[0].partition("=")[0].lower().removeprefix("amp;")
            value = match[1]
            if (name in _ALWAYS and len(value) >= 6) or (
                len(value) >= 8 and name not in ("state", "st", "s", "t", "h", "k") and randomness.looks_random(value.partition("%")[0])
            ):
                yield match.span(1)
    if not any(randomness.is_opaque(part[0]) for part in _SEGMENT.finditer(text)):
        return
    seen = 0
    for match in _ACTS.finditer(text):
        if match.start() < seen:
            continue
        end = _LINK_END.search(text, match.end()).start()  # type: ignore[union-attr]
        seen = end
        if match[1] == "=" or end - match.end() > 4_096:
            continue
        for part in _PARTS.finditer(text, match.end(), end):
            if _is_key_of_link(part[0], text[part.end() : part.end() + 1]):
                yield part.span()


def _is_key_of_link(part: str, after: str) -> bool:
    if after == "=":
        return False
    word = part.rstrip(".!:*_")
    if "." in word and re.search(
        r"\.(?:html?|php|aspx?|json|txt|csv|png|jpe?g|gif|svg|pdf|js|css|py|xml|zip|com|org|net|io|dev)\Z", word.lower()
    ):
        return False
    return randomness.is_opaque(word)


def _user(text: str, start: int, end: int) -> Iterator[Span]:
    """The part before the last `@` of an authority, also if the password contains `@`, `#`, `?` or `/`."""
    whole = text[start:end]
    at = whole.rfind("@")
    if at < 0:
        return
    cut = re.search(r"[/?#]", whole)
    authority = whole if cut is None else whole[: cut.start()]
    if "@" in authority:
        last = authority.rfind("@")
        if ":" in authority[: authority.index("@")]:
            rest = whole[len(authority) :]
            more = rest.find("@")  # the password may continue after a "/" if there is no host before it
            if (more >= 0 and not re.match(r"[\w.-]+(?::\d+)?\Z", authority[last + 1 :])) or (
                more >= 0 and "." not in authority[last + 1 :] and rest[0] == "#"
            ):
                last = len(authority) + more
    elif ":" in authority and not _PORT.fullmatch(authority):
        last = at
    else:
        return
    user = whole[:last]
    name, colon, password = user.partition(":")
    if colon and password:
        yield start, start + last
    elif not colon and (len(name) >= 20 or randomness.looks_random(name)):
        yield start, start + last  # a token as the user
    elif colon and (len(name) >= 20 or randomness.looks_random(name)):
        yield start, start + last


def has_random(url: str) -> bool:
    """Whether a link contains a part that looks random, or a user with a password."""
    body = url.partition("://")[2] or url
    host, _, rest = body.partition("/")
    if "@" in host or any(True for _ in spans(url)):
        return True
    return any(randomness.is_opaque(part[0]) for part in _PARTS.finditer(rest))
