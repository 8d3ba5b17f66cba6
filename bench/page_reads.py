# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counts the SQL statements that readers run for a page, in this process, over the same database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final

from bench.page_kinds import Kind, Span
from tests.support.site import Site, site
from z4j import clock
from z4j.settings import Settings

TIMES: Final = 3
"""How often each page is requested: the median counts."""


def count_statements(data: Path, span: Span, kinds: Mapping[str, Kind], after_us: int) -> dict[str, float]:
    """Returns the median of the statements by kind. Those of background duties are counted with the page that they fall on."""
    moved_ns = (span.last + after_us) * 1_000 - time.time_ns()
    clock.use(lambda: time.time_ns() + moved_ns)
    try:
        with site(data, Settings(data=data, backups_daily=0, backups_weekly=0)) as made:
            return _count(made, span, kinds)
    finally:
        clock.use()


def _count(made: Site, span: Span, kinds: Mapping[str, Kind]) -> dict[str, float]:
    seen: list[str] = []

    async def watch() -> None:
        for reader in made.server.store._readers:
            await reader.set_trace_callback(seen.append)

    name = f"reader{time.time_ns()}"
    made.add_user(name)
    made.sign_in(name)
    made.call(watch)
    chance, found = Random(3), {}
    for kind_name, kind in kinds.items():
        counts = []
        for _ in range(TIMES):
            path = kind.path(chance, span)
            answer = made.get(path)
            if answer.status_code == 303:
                path = answer.headers["location"]
            seen.clear()
            assert made.get(path).status_code == 200, path
            counts.append(len(seen))
        found[kind_name] = float(statistics.median(counts))
    return found
