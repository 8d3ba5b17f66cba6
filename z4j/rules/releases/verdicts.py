# SPDX-License-Identifier: AGPL-3.0-or-later
"""The verdict on a release for one task name: worse, better, no difference, or too few runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from z4j.formats import duration, number, percent
from z4j.rules.releases.significance import histograms_differ, shares_differ
from z4j.rules.rollups import percentile

Word = Literal["worse", "better", "no difference", "too few runs"]
WORDS: Final[tuple[Word, ...]] = ("worse", "too few runs", "no difference", "better")
"""In the order in which they are listed."""
LEAST: Final = 50
"""Minimum runs on each side for “no difference”: with fewer, a difference would not be detected. Fisher's test is exact for any number."""
ALPHA: Final = 0.001
"""Significance level for one measure. A release has tens of names with three measures each."""
SHARE_FACTOR: Final = 1.25
"""Minimum relative difference of a share: with a million runs, even an irrelevant difference is significant."""
SHIFT: Final = 0.06
"""Minimum deviation from 0.5 of the probability that a run takes longer."""
SPEED_FACTOR: Final = 1.1
"""Minimum relative difference of p50 or p95; histograms have a resolution of 9.1 %."""


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of a task name before or with a release: ended, failed, started, attempts after the first one, runtimes by bucket."""

    ended: int = 0
    bad: int = 0
    started: int = 0
    retried: int = 0
    ran: Mapping[int, int] = field(default_factory=dict)

    @property
    def bad_share(self) -> float:
        """Failure rate."""
        return self.bad / self.ended if self.ended else 0.0

    def quantile(self, share: float) -> int | None:
        """Returns a percentile of the runtime in microseconds."""
        found = percentile(self.ran, share)
        return None if found is None else round(found)


class Verdict(NamedTuple):
    """The verdict on one measure. `text` contains both values and the test."""

    measure: Literal["failures", "runtime", "retries"]
    word: Word
    text: str
    p: float


def verdicts(before: Side, after: Side) -> tuple[Verdict, ...]:
    """Returns the verdict of each measure."""
    return (_failures(before, after), _runtime(before, after), _retries(before, after))


def worst(found: tuple[Verdict, ...]) -> Word:
    """Returns the overall verdict: “worse” has priority, and “too few runs” is returned only if no measure has another verdict."""
    words = {verdict.word for verdict in found}
    return next((word for word in ("worse", "better", "no difference") if word in words), "too few runs")


def _failures(before: Side, after: Side) -> Verdict:
    text = f"{_share(after.bad, after.ended)} failed, {_share(before.bad, before.ended)} before"
    p = shares_differ(after.bad, after.ended, before.bad, before.ended)
    if p >= ALPHA and min(before.ended, after.ended) < LEAST:
        return Verdict("failures", "too few runs", text, 1.0)
    word = _word(p, after.bad_share > before.bad_share * SHARE_FACTOR, after.bad_share * SHARE_FACTOR < before.bad_share)
    return Verdict("failures", word, f"{text} (Fisher's exact test, {_p(p)})", p)


def _retries(before: Side, after: Side) -> Verdict:
    text = f"{number(after.retried)} retries of {number(after.started)} runs, {number(before.retried)} of {number(before.started)} before"
    # A run that is retried several times counts once at most: its retries are not independent.
    mine, theirs = min(after.retried, after.started), min(before.retried, before.started)
    p = shares_differ(mine, after.started, theirs, before.started)
    if p >= ALPHA and min(before.started, after.started) < LEAST:
        return Verdict("retries", "too few runs", text, 1.0)
    rate, usual = mine / after.started, theirs / before.started
    word = _word(p, rate > usual * SHARE_FACTOR, rate * SHARE_FACTOR < usual)
    return Verdict("retries", word, f"{text} (Fisher's exact test, {_p(p)})", p)


def _runtime(before: Side, after: Side) -> Verdict:
    counts = [sum(side.ran.values()) for side in (after, before)]
    halves, tails = ([side.quantile(share) for side in (after, before)] for share in (0.5, 0.95))
    text = f"p50 {duration(halves[0])}, {duration(halves[1])} before; p95 {duration(tails[0])}, {duration(tails[1])} before"
    if min(counts) < LEAST:
        return Verdict("runtime", "too few runs", text, 1.0)
    shift = histograms_differ(after.ran, before.ran)
    ratios = [mine / theirs for mine, theirs in (halves, tails) if mine and theirs]
    is_slower = shift.larger >= 0.5 + SHIFT and max(ratios) >= SPEED_FACTOR
    is_quicker = shift.larger <= 0.5 - SHIFT and min(ratios) <= 1 / SPEED_FACTOR
    return Verdict("runtime", _word(shift.p, is_slower, is_quicker), f"{text} (Mann-Whitney test, {_p(shift.p)})", shift.p)


def _word(p: float, is_worse: bool, is_better: bool) -> Word:
    if p >= ALPHA:
        return "no difference"
    return "worse" if is_worse else "better" if is_better else "no difference"


def _share(bad: int, ended: int) -> str:
    return f"{number(bad)} of {number(ended)}" + (f" ({percent(bad / ended)})" if ended else "")


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}" if p < 0.01 else f"p = {p:.2f}"
