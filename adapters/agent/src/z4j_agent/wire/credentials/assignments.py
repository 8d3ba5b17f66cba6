# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 -- a pattern or a word list is not split in the middle
"""Finds credentials in text by the name before them: `password=hunter2`, `"token": "abc"`, `--password x`, `<secret>x</secret>`. Pure.

A name is found first, `key_names` classifies it, and only then the end of its value is determined. Every search continues where the last one
ended, so the time is proportional to the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from z4j_agent.wire.credentials import key_names, randomness, token_formats, urls
from z4j_agent.wire.credentials.lazy_patterns import lazy
from z4j_agent.wire.credentials.words import EMPTY_VALUES, PROSE

Span = tuple[int, int]

_JOIN: Final = r"(?:=>|->|→|:=|={1,3}|[:：＝]|\\u(?:ff1d|FF1D|ff1a|FF1A)|(?:%25){0,3}%3[AaDd])"
#: A name, an optional closing quote, and the separator before its value.
NAMED: Final = lazy(rf"(?<![\w.-])([^\W_](?:[\w.-]|\[\w*\])*|--?[\w-]+|_[\w.-]+)(?:\\*[\"'`]|&quot;)?\]?\s{{0,8}}({_JOIN})")
#: The same for a text without "->". A part of a name never has a separator after it there, so no part is tried: it takes a third of the time.
NAMED_PLAIN: Final = lazy(
    rf"(?<![\w.-])([^\W_][\w.-]*+(?:\[\w*\][\w.-]*+)*+|--?[\w-]++|_[\w.-]++)(?:\\*[\"'`]|&quot;)?\]?\s{{0,8}}({_JOIN})"
)
#: The same where letters are written as `%22` or `\\u0430`; no name begins inside of one, or each of many would look at all that follow.
NAMED_ESCAPED: Final = lazy(
    rf"(?:(?<![\w.%-])|(?<=%2[0267C])|(?<=%7[Bb])|(?<=%5[Bb])|(?<=%3[FfBb]))(?!(?<=\\)u0[0-9a-fA-F]{{3}})((?:[^\W_]|\\u0[0-9a-fA-F]{{3}})(?:[\w.-]|\[\w*\]|\\u0[0-9a-fA-F]{{3}})*"
    rf"|--?[\w-]+|_[\w.-]+)(?:\\*[\"'`]|%22|%27|&quot;)?\]?\s{{0,8}}({_JOIN})"
)
_JOINT: Final = lazy(r"[=:：＝]|->|→|%3|\\uff")
_BLANK: Final = lazy(r"(?:\s|%20|\+(?=%22)|\\[nrt](?=\S))*")
_ESCAPED: Final = lazy(r"\\u(0[0-9a-fA-F]{3})")
_OPEN: Final = lazy(r"[bruf]?(\\{0,7}[\"'`]|&quot;|&#34;|&#39;|%22|%27|\"\"\"|<<?(?=[A-Za-z]))")
#: Where an unquoted value ends: before the next name with a separator, or at the end of the line.
_NEXT: Final = lazy(
    r"[\s,;&]+(?:\\*[\"']|--?)?[A-Za-z_][\w.-]{0,60}(?:\\*[\"'])?\s{0,2}(?:=(?!=)|:(?!/)|=>)|[\r\n]|\\[rn]|%26|%0[AaDd]|<|\s--?[a-zA-Z]|\s\||\\*[\"'](?=\s*(?:[,\])}:;]|\Z))"
)
_TOKEN_END: Final = lazy(r"[\s,;&<>\"'`]|%26|%22|\\[nr\"]|[)\]}](?=[\s,;.:)\]}]|\Z)|\Z")
_FLAG: Final = lazy(r"(?<![\w-])--?([A-Za-z][\w-]{1,40})(?:\s{1,4}|[\"'],\s{0,4}[\"'])([\"']?)([^\s\"'-][^\s\"']*)")
_SHORT: Final = lazy(
    r"(?i)\b(?:mysql\w*|mariadb\w*|sshpass|redis-cli|docker\s+login|mongo\w*|ldap\w+|7z|zip|unzip|kinit|smbclient|xfreerdp|sqlcmd|bcp|isql|curl|wget|http|"
    r"podman\s+login|helm\s+\w+\s+login|az\s+login|rabbitmqadmin|influx|cqlsh|clickhouse-client|net\s+use|vncviewer)\b[^\n|;]{0,300}"
)
_SHORT_P: Final = lazy(r"(?<=\s)-([paPwuU])(?:\s{0,2}|=)([\"']?)([^\s\"'-][^\s\"']*)")
_USER: Final = lazy(r"(?<=\s)(?:-u|--user|--proxy-user|-U|--auth|-a)(?:\s{1,2}|=)?[\"']?[^\s:\"']{0,100}:([^\s\"']+)")
_SAYS: Final = lazy(
    r"(?i)(?<![\w-])((?:(?:api|access|secret|private|security|verification|one-time|login|recovery|backup|reset|confirmation|activation|auth|mfa|2fa|otp|sms|master|"
    r"encryption|license|signing|sign-in|invite|invitation|unlock|temporary|new|old) )?(?:pass(?:word|phrase|code|wd)?s?|pwd|secret|token|key|code|pin|otp|credentials?|"
    r"passwort|kennwort|contraseña|mot de passe|senha|tan))"
    r"(\s+(?:for [^\s]{1,60} )?(?:is now|will be|has been set to|set to|changed to|is|was|are|reads|equals|ist|lautet|est|es|to)\s*:?\s*|\s*:?\s+(?=\\*[\"'`“‘«])|\s+(?=\d{4,8}(?!\d)))"
    r"(?:\\*[\"'`“‘«]([^\"'`”’»\n\\]{1,200})|([^\s\"'`“,;<>]{4,200}))"
)
_CODE: Final = lazy(
    r"(?i)(?<!\w)(\d{4,8}|\d{3}[ -]\d{3}|[A-Z]-\d{6})(?!\w)(?=\s+(?:is|as|ist|to|für|est)\s+(?:your|the|dein|ihr|votre)\b[^.\n]{0,60}\b(?:code|otp|pin|tan|passcode|password))"
)
_CODE_AFTER: Final = lazy(
    r"(?i)\b(?:verification|security|log-?in|sign-?in|one-?time|confirmation|auth\w*|access|2fa|mfa|otp|sms|reset|activation|recovery|backup|bestätigungs|sicherheits)[- ]?"
    r"(?:pass)?(?:code|pin|otp|password|passcode|number|codes)s?\b[^\d\n]{0,40}?(?<![\w.])([A-Z]-\d{6}|\d{3}[ -]\d{3}|\d{4,8})(?![\w])"
)
_ELEMENT: Final = lazy(r"(?:<|&lt;)(?:[\w.-]{1,40}:)?([A-Za-z_][\w.-]{0,63})(?:\s[^<>]{0,300})?(?:>|&gt;)")
_CDATA: Final = lazy(r"\s*(?:<!\[CDATA\[)?")
#: A name given as a value, and its value after it: `{"name": "password", "value": "x"}`, `<property name="password" value="x"/>`.
_ENTRY: Final = lazy(
    r"(?i)(?<!\w)(?:name|key|field|id|k|param|parameter|attr|attribute|label|header|variable|var|option|setting|property|type|prop|field_?name|title|for)\\*[\"']?\s{0,4}(?:=>|[=:])\s{0,4}\\*[\"']?"
    r"([\w .\-]{2,64}?)\\*[\"']?(?:[\s,;]|\\n){0,20}(?:\\*[\"']?\w{1,20}\\*[\"']?\s?[=:]\s?\\*[\"']?\w{1,20}\\*[\"']?[\s,;]{1,8})?"
    r"\\*[\"']?(?:value|values|val|v|content|contents|data|default|text|defaultvalue|string_?value|current|new|old|plain)\\*[\"']?\s{0,4}(?:=>|[=:])"
)
_ENTRY_BACK: Final = lazy(
    r"(?i)(?<!\w)(?:value|val|v|content|data|text)\\*[\"']?\s{0,4}(?:=>|[=:])\s{0,4}(\\*[\"'])([^\"'\\]{1,300})\\*[\"'][\s,;]{1,20}"
    r"\\*[\"']?(?:name|key|field|id|k|param|label|header|variable)\\*[\"']?\s{0,4}(?:=>|[=:])\s{0,4}\\*[\"']?([\w .\-]{2,64})"
)
#: One of these is in every text that has such a name: looking for them first is cheaper than either pattern.
_VALUE_WORDS: Final = ("val", "content", "data", "default", "text", "current", "new", "old", "plain")
_VALUE_V: Final = lazy(r"[vV]\\*[\"']?\s{0,4}[=:]")
_ENTRY_ELEMENT: Final = lazy(
    r"(?i)<[\w:.-]{1,60}\s[^<>]{0,200}?(?:name|key|id)\s?=\s?[\"']([\w .\-]{2,64})[\"'][^<>]{0,200}>([^<]{1,500})<"
)
#: A pair: `["password", "x"]`, `('password', 'x')`.
_PAIR: Final = lazy(r"(?:[\[({,]|\A)\s{0,4}b?(\\*[\"'])([\w .\-]{2,64})\1\s{0,4},")
_NETRC: Final = lazy(
    r"(?i)\b(?:login|user|account)\s+\S{1,100}\s+(?:password|passwd)\s+(\S+)|\bidentified\s+(?:\w+\s+)?by\s+(?:password\s+)?[\"'](.{1,200}?)[\"']|\b(?:with\s+)?(?:encrypted\s+)?password\s+[\"'](.{1,200}?)[\"']"
)
_PREVIOUS: Final = lazy(r"([\w-]{2,24})[ -]\Z")
_TYPED: Final = frozenset(
    [
        "key",
        "code",
        "phrase",
        "id",
        "number",
        "string",
        "link",
        "url",
        "word",
        "words",
        "value",
        "token",
        "tokens",
        "card",
        "answer",
        "account",
    ]
)
_NUMBER: Final = lazy(r"[+-]?\d+(?:[.,]\d+)?(?:[eE]\d+)?%?")
_HEADERS: Final = ("authorization", "cookie", "proxy-authorization", "set-cookie", "cookie2", "x-authorization", "authentication")


def spans(text: str) -> Iterator[Span]:
    """Yields (start, end) of the credentials in a text that follow their names, without the names."""
    done = 0
    ends = _Ends()
    has_joint = _JOINT.search(text) is not None
    for match in _named(text) if has_joint else ():
        if match.end() <= done:
            continue
        name = match[1]
        if "\\" in name:
            name = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), name)
        level = key_names.level(name)
        if level <= key_names.RANDOM and name.lower() in _TYPED:
            level = max(level, _with_previous(text, match.start(1), name))
        if level == key_names.NONE:
            continue
        span = _value(text, match.end(), name, level, match[2], match.start(1), ends)
        if span is not None:
            yield span
            done = span[1]
    if "<" in text or "&lt;" in text:
        yield from _elements(text)
    if (has_joint or "," in text) and ('"' in text or "'" in text or "name" in text):
        yield from _entries(text)
    if " -" in text or "'-" in text or '"-' in text or text.startswith("-"):
        yield from _flags(text)
    if (" " in text or "\n" in text) and token_formats.has_word(text.lower(), _SPOKEN):
        yield from _sentences(text)


def _named(text: str) -> Iterator[re.Match[str]]:
    """The names before separators. What comes after the last separator is not searched."""
    if "%" in text or "\\u" in text:
        return NAMED_ESCAPED.finditer(text)
    end = max(map(text.rfind, "=:：＝→>")) + 1
    return (NAMED if "->" in text else NAMED_PLAIN).finditer(text, 0, end)


_SPOKEN: Final = (
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "code",
    "pin",
    "otp",
    "kennwort",
    "contrase",
    "senha",
    "credential",
    "identified",
    " tan ",
)


def _with_previous(text: str, start: int, name: str) -> int:
    """The level of a name together with the word before it: `api key: x` is one name of two words."""
    before = _PREVIOUS.search(text, max(0, start - 25), start)
    return key_names.level(f"{before[1]} {name}") if before else key_names.NONE


def _value(text: str, at: int, name: str, level: int, joint: str, name_start: int, ends: _Ends) -> Span | None:
    """The start and end of the value of a name, None if it is not masked."""
    start = _BLANK.match(text, at).end()  # type: ignore[union-attr]
    if start >= len(text):
        return None
    lower = name.lower()
    opened = _OPEN.match(text, start)
    if opened is not None and not opened[1].startswith("<"):
        end = _closing(text, opened.end(), opened[1])
        inner = text[opened.end() : end]
        return (opened.end(), end) if masks(inner, level) else None
    if text[start] in "[{(":
        if level < key_names.SECRET:
            return None
        return _bracket(text, start)
    if lower in _HEADERS and ":" in joint:
        return _header(text, start, name_start)
    end = ends.after(text, start)
    while end > start and text[end - 1].isspace():
        end -= 1
    value = text[start : min(end, start + _LOOKED_AT)]
    token_end = ends.of_token(text, start)
    first = text[start : min(token_end, start + _LOOKED_AT)]
    if level in (key_names.COUNT, key_names.RANDOM):
        return (start, token_end) if masks(first, level) else None
    if level == key_names.LINK:
        blank = re.search(r"[\s\"'<>]|\Z", value)
        link = value[: blank.start()] if blank else value
        return (start, start + len(link)) if masks(link, level) else None
    if not masks(first, level) and (first == value or not first or first.lower().strip(".") in EMPTY_VALUES or _NUMBER.fullmatch(first)):
        return None
    if ":" in joint or "：" in joint or "%3" in joint:
        if _is_prose(value):
            return None
        if "%3" in joint:
            end = token_end
    elif joint in ("->", "→") and _is_prose(value):
        return None
    return start, end


_LOOKED_AT: Final = 400
"""Characters of an unquoted value that are examined to distinguish prose from a credential."""


class _Ends:
    """Where unquoted values end. The last result is cached: many names before one distant end would each search for it."""

    def __init__(self) -> None:
        self.known = (1, 0)
        self.known_token = (1, 0)

    def after(self, text: str, start: int) -> int:
        since, end = self.known
        if not since <= start <= end:
            match = _NEXT.search(text, start)
            end = match.start() if match else len(text)
            self.known = (start, end)
        return end

    def of_token(self, text: str, start: int) -> int:
        """Where the word that begins here ends."""
        since, end = self.known_token
        if not since <= start <= end:
            end = _TOKEN_END.search(text, start).start()  # type: ignore[union-attr]
            self.known_token = (start, end)
        return end


class _Marks:
    """Where each of some marks comes next. One that does not come again is not searched for again."""

    def __init__(self, *marks: str) -> None:
        self.next = dict.fromkeys(marks, -1)

    def after(self, text: str, start: int) -> int:
        """The first of them from here on."""
        for mark, at in self.next.items():
            if at < start:
                found = text.find(mark, start)
                self.next[mark] = len(text) if found < 0 else found
        return min(self.next.values())


def _closing(text: str, start: int, quote: str) -> int:
    """Where a quoted value ends: at the same quote with as many backslashes before it."""
    if quote.startswith("\\") or not quote.endswith(('"', "'", "`")):
        end = text.find(quote, start)
        slashes = len(quote) - 1
        while end > 0 and slashes and text[end - 1] == "\\":  # a deeper quote inside
            end = text.find(quote, end + 1)
        return len(text) if end < 0 else end
    at = start
    while (end := text.find(quote, at)) >= 0:
        back = end
        while back > start and text[back - 1] == "\\":
            back -= 1
        if (end - back) % 2 == 0:
            return end
        at = end + 1
    return len(text)


def _bracket(text: str, start: int) -> Span | None:
    """The end of a list or mapping under a secret name, if it contains text."""
    close = {"[": "]", "{": "}", "(": ")"}[text[start]]
    end = text.find(close, start)
    end = len(text) if end < 0 else end
    if end == start + 1:
        return None
    inner = text[start + 1 : end]
    return (start + 1, end) if any(map(str.isalpha, inner)) and inner.strip().lower() not in EMPTY_VALUES else None


_QUOTED_END: Final = {quote: lazy(rf"[\r\n]|\\[rn]{quote and f'|(?<!{chr(92) * 2}){quote}'}|\Z") for quote in ("", '"', "'")}


def _header(text: str, start: int, name_start: int) -> Span | None:
    """The end of a header's value: the end of the line, in a quoted header its closing quote."""
    quote = text[name_start - 1] if name_start and text[name_start - 1] in "\"'" else ""
    end = _QUOTED_END[quote].search(text, start).start()  # type: ignore[union-attr]
    is_prose = end - start <= _LOOKED_AT and _is_prose(text[start:end])  # otherwise each header of a long line would look at all of it
    return (start, end) if end > start and not is_prose else None


def _is_prose(value: str) -> bool:
    """`must be at least 8 characters`, `see docs`, `accepted`."""
    words = value.lower().split()
    if not words or words[0].strip(".,;!") in EMPTY_VALUES:
        return len(words) <= 1 or all(word.strip(".,;!?()").isalpha() for word in words)
    if len(words) < 2:
        return False
    return all(re.fullmatch(r"[a-z'’-]+[.,;:!?]?|\d{1,3}", word) for word in words) and any(word.strip(".,;:!?") in PROSE for word in words)


def masks(value: str, level: int) -> bool:
    """Whether a text under a name of this level is masked."""
    word = value.strip()
    if not word or word.strip("•*") == "" or level == key_names.NONE:
        return False
    if level == key_names.OWNERS:
        return True
    if level == key_names.LINK:
        return (
            urls.has_random(word)
            if "://" in word or word.startswith("/")
            else word.lower() not in EMPTY_VALUES and not _NUMBER.fullmatch(word)
        )
    if level in (key_names.COUNT, key_names.RANDOM):
        return randomness.looks_random(word)
    if word.lower() in EMPTY_VALUES or word in ("[", "{", "(", "|", ">", "|-", ">-"):
        return False
    return level == key_names.DIGITS or _NUMBER.fullmatch(word) is None or len(word) >= 4


def _elements(text: str) -> Iterator[Span]:
    marks = _Marks("<", "]]>", "&lt;")
    for match in _ELEMENT.finditer(text):
        level = key_names.level(match[1])
        if level:
            start = _CDATA.match(text, match.end()).end()  # type: ignore[union-attr]
            end = marks.after(text, start)
            if masks(text[start:end], level):
                yield start, end
    for match in _ENTRY_ELEMENT.finditer(text):
        if masks(match[2], key_names.level(match[1])):
            yield match.span(2)


def _entries(text: str) -> Iterator[Span]:
    ends = _Ends()
    has_value = token_formats.has_any(text, _VALUE_WORDS) or _VALUE_V.search(text) is not None
    for match in _ENTRY.finditer(text) if has_value else ():
        level = key_names.level(match[1])
        if level:
            span = _value(text, match.end(), match[1], level, "=", match.start(1), ends)
            if span is not None:
                yield span
    for match in _ENTRY_BACK.finditer(text) if has_value else ():
        if masks(match[2], key_names.level(match[3])):
            yield match.span(2)
    if "," in text:
        for match in _PAIR.finditer(text):
            level = key_names.level(match[2])
            if not level:
                continue
            start = _BLANK.match(text, match.end()).end()  # type: ignore[union-attr]
            opened = _OPEN.match(text, start)
            if opened is not None:
                end = _closing(text, opened.end(), opened[1])
                is_pair = level >= key_names.SECRET or randomness.looks_random(text[opened.end() : end])
                if is_pair and masks(text[opened.end() : end], level) and not key_names.is_name(text[opened.end() : end]):
                    yield opened.end(), end


def _flags(text: str) -> Iterator[Span]:
    for match in _FLAG.finditer(text):
        level = key_names.level(match[1])
        if level and masks(match[3], level):
            start = match.start(3)
            yield start, _closing(text, start, match[2]) if match[2] else match.end(3)
    for command in _SHORT.finditer(text):
        program = command[0].split()[0].lower()
        for match in _USER.finditer(text, *command.span()):
            yield match.span(1)
        for match in _SHORT_P.finditer(text, *command.span()):
            if _is_password_flag(program, match[1], match[3]):
                yield match.start(3), _closing(text, match.start(3), match[2]) if match[2] else match.end(3)


def _is_password_flag(program: str, flag: str, value: str) -> bool:
    match flag:
        case "p":
            return program not in ("curl", "wget", "http", "redis-cli", "ldapsearch") and not (
                value.isdigit() and len(value) == 4 and program.startswith("mongo")
            )
        case "a":
            return program in ("redis-cli", "http")
        case "w":
            return program.startswith("ldap")
        case "P":
            return program in ("sqlcmd", "bcp", "isql", "unzip", "zip")
    return False


def _sentences(text: str) -> Iterator[Span]:
    for match in _SAYS.finditer(text):
        quoted, bare = match[3], match[4]
        if quoted is not None:
            if (quoted.strip().lower() not in EMPTY_VALUES and key_names.level(match[1]) != key_names.NONE) or key_names.level(
                match[1].split()[-1]
            ) >= key_names.SECRET:
                yield match.span(3)
        elif _is_said(bare, match[1].lower()):
            yield match.start(4), match.start(4) + len(bare.rstrip(".!?)"))
    for shape in (_CODE, _CODE_AFTER):
        yield from (match.span(1) for match in shape.finditer(text))
    for match in _NETRC.finditer(text):
        group = match.lastindex or 1
        if match[group].lower() not in EMPTY_VALUES:
            yield match.span(group)


def _is_said(word: str, name: str) -> bool:
    """Whether the word after "the password is" does not look like prose."""
    word = word.rstrip(".!?)")
    if word.lower() in EMPTY_VALUES or word.lower() in PROSE:
        return False
    if word.isdigit():
        return 4 <= len(word) <= 8 and ("code" in name or "pin" in name or "otp" in name or "pass" in name or "tan" in name)
    if "/" in word or (word.isalpha() and (word.islower() or word.isupper() or word.istitle())):
        return False
    return len(word) >= 5 and (any(map(str.isdigit, word)) or not word[1:].islower())


def finds(text: str) -> bool:
    """Whether a text contains a credential that follows its name."""
    return any(True for _ in spans(text))


token_formats.set_inner(finds)
