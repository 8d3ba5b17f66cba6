# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bounds the number of label sets: the first ones that come keep theirs, all later ones are summed up as `others`."""

from __future__ import annotations

from typing import Final

OTHERS: Final = "others"
LONGEST: Final = 200
"""Characters of the value of a label."""


class LabelLimit:
    """One per metric and server. A label set that has a series of its own keeps it, so no counter moves from one to another."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: set[tuple[str, ...]] = set()
        self._hidden: set[int] = set()

    def fit(self, labels: tuple[str, ...], kept: int = 1) -> tuple[str, ...]:
        """Returns the labels, or the first `kept` of them and `others` for the rest where the limit is reached."""
        if labels in self._known:
            return labels
        if len(self._known) < self.limit:
            self._known.add(labels)
            return labels
        if len(self._hidden) < 100_000:
            self._hidden.add(hash(labels))
        return (*labels[:kept], *(OTHERS for _ in labels[kept:]))

    @property
    def hidden(self) -> int:
        """How many label sets were summed up; counted up to 100,000."""
        return len(self._hidden)


def value_of(text: str) -> str:
    """Returns a text as the value of a label."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
