# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ranking of search results: exact matches, then prefixes, then prefixes of words, then parts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import nsmallest
from typing import Final, NamedTuple, TypeVar

EXACT, PREFIX, WORD, PART = 0, 1, 2, 3
KINDS: Final = ("page", "action", "task", "name", "queue", "worker", "schedule", "error", "finding", "release", "view", "document")
"""The order among equal ranks."""
PER_KIND: Final = 6
MOST: Final = 24

T = TypeVar("T")


class Candidate(NamedTuple):
    """A searchable item. `words` are synonyms; `note` is shown beside it."""

    kind: str
    text: str
    href: str
    note: str = ""
    words: str = ""


class Found(NamedTuple):
    """A candidate with its rank: EXACT is best."""

    candidate: Candidate
    rank: int


def rank_of(query: str, text: str) -> int | None:
    """Returns the rank of a text for a query, None if it does not match. Both are lower case and stripped; a query of several words matches
    if the text contains each of them."""
    if text == query:
        return EXACT
    if text.startswith(query):
        return PREFIX
    worst = WORD
    for word in query.split():
        at = text.find(word)
        if at < 0:
            return None
        while at > 0 and text[at - 1].isalnum():
            at = text.find(word, at + 1)
        if at < 0:
            worst = PART
    return worst


def closest(query: str, entries: Iterable[tuple[str, T]], most: int = PER_KIND) -> list[T]:
    """Returns the items that match a query best, of (text in lower case, item): narrows a list of thousands before candidates are created.
    `query` is in lower case."""
    first, *others = query.split() or [""]
    fitting = [entry for entry in entries if first in entry[0]]
    if others:
        fitting = [entry for entry in fitting if all(word in entry[0] for word in others)]
    ranked = ((rank_of(query, text), len(text), text, number) for number, (text, _) in enumerate(fitting))
    return [fitting[number][1] for *_, number in nsmallest(most, (each for each in ranked if each[0] is not None))]


def best(query: str, candidates: Iterable[Candidate], most: int = MOST) -> list[Found]:
    """Returns the matches, sorted by rank, kind and length; a few of each kind."""
    wanted = " ".join(query.lower().split())
    found = []
    for candidate in candidates:
        text = candidate.text.lower()
        rank = rank_of(wanted, text)
        if rank is None and candidate.words and rank_of(wanted, f"{text} {candidate.words}") is not None:
            rank = PART
        if rank is not None:
            found.append(Found(candidate, rank))
    found.sort(key=lambda each: (each.rank, KINDS.index(each.candidate.kind), len(each.candidate.text), each.candidate.text))
    counts: Counter[str] = Counter()
    shown = []
    for each in found:
        counts[each.candidate.kind] += 1
        if counts[each.candidate.kind] <= PER_KIND:
            shown.append(each)
    return shown[:most]
