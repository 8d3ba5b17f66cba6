# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps one finding for one cause: findings that another finding explains are removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from z4j.rules.findings.finding import LEVELS, Finding, ranked


def without_repeats(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings without those that others explain. A finding gets at least the level and weight of the findings it explains, and
    the earliest of their start times. An explained finding explains nothing itself, so of two that explain each other one remains. Of two
    with the same key the worse one remains."""
    every = ranked(findings)
    by_key = {finding.key: finding for finding in every}
    causes: dict[str, Finding] = {}
    hidden: set[str] = set()
    for finding in every:
        if finding.key not in hidden:
            causes.setdefault(finding.key, finding)
            hidden |= {key for key in finding.explains if key in by_key and key != finding.key}
    return [
        _with(finding, [by_key[key] for key in finding.explains if key in hidden]) for key, finding in causes.items() if key not in hidden
    ]


def _with(finding: Finding, explained: list[Finding]) -> Finding:
    if not explained:
        return finding
    worst = max([finding, *explained], key=lambda each: LEVELS[each.level])
    begins = [each.since for each in (finding, *explained) if each.since is not None]
    return replace(
        finding, level=worst.level, weight=max(finding.weight, *(each.weight for each in explained)), since=min(begins, default=None)
    )  # fmt: skip
