# SPDX-License-Identifier: AGPL-3.0-or-later
"""Splits documents into sections and finds words in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

EXCERPT: Final = 180
MOST: Final = 40
_HEADING = re.compile(r"^(#{1,4}) +(.+?)\s*#*$")
_COMMENT = re.compile(r"^<!--.*?-->\s*", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[`*_|#>]+")


class Section(NamedTuple):
    """A heading of a document, and the text up to the next one. `anchor` is the part of its URL after #, "" for the beginning."""

    document: str
    title: str
    anchor: str
    text: str


class Hit(NamedTuple):
    """A section that contains every word of a search, and the text around the first of them."""

    section: Section
    excerpt: str


def source_of(text: str) -> str:
    """Returns a document without the comment at its beginning."""
    return _COMMENT.sub("", text)


def anchor_of(title: str, taken: set[str]) -> str:
    """Returns the anchor of a heading in GitHub's format, with a number if it is already used, and adds it to the used ones."""
    base = re.sub(r"[^\w\- ]", "", _MARKS.sub("", _LINK.sub(r"\1", title)).lower()).strip().replace(" ", "-")
    found, number = base, 0
    while found in taken:
        number += 1
        found = f"{base}-{number}"
    taken.add(found)
    return found


def sections_of(document: str, text: str) -> list[Section]:
    """Returns the sections of a document in Markdown. Lines in code blocks are not headings."""
    found: list[Section] = []
    title, anchor, lines, is_code, taken = document, "", list[str](), False, set[str]()
    for line in source_of(text).splitlines():
        if line.startswith("```"):
            is_code = not is_code
        match = None if is_code else _HEADING.match(line)
        if match is None:
            lines.append(line)
            continue
        found.append(Section(document, title, anchor, plain("\n".join(lines))))
        title, lines = plain(match[2]), []
        anchor = anchor_of(match[2], taken)
    found.append(Section(document, title, anchor, plain("\n".join(lines))))
    return [section for section in found if section.text or section.anchor]


def plain(text: str) -> str:
    """Returns the words of Markdown, without its marks."""
    return " ".join(_MARKS.sub(" ", _LINK.sub(r"\1", text)).split())


def search(words: str, sections: Iterable[Section]) -> list[Hit]:
    """Returns the sections that contain every word, title matches first."""
    wanted = words.lower().split()
    if not wanted:
        return []
    ranked = []
    for number, section in enumerate(sections):
        title, text = section.title.lower(), section.text.lower()
        if all(word in title or word in text for word in wanted):
            in_title = sum(word in title for word in wanted)
            often = sum(min(text.count(word), 5) for word in wanted)
            ranked.append((-in_title, -often, number, Hit(section, _around(section.text, wanted))))
    return [hit for *_, hit in sorted(ranked)[:MOST]]


def _around(text: str, wanted: list[str]) -> str:
    lowered = text.lower()
    at = min((found for word in wanted if (found := lowered.find(word)) >= 0), default=0)
    begin = max(at - EXCERPT // 3, 0)
    part = text[begin : begin + EXCERPT]
    return f"{'…' if begin else ''}{part}{'…' if begin + EXCERPT < len(text) else ''}"
