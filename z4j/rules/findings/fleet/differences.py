# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workers of one queue that differ in what should be the same: the release, the pool, or the version of the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from z4j.formats import number, plural
from z4j.rules.findings.finding import Finding, Link, Scope, queue_href, workers_href
from z4j.rules.findings.fleet.process import MINUTE_US, Process, present

SETTLED_US: Final = 10 * MINUTE_US
"""A deployment takes a while; workers that connected more recently are not compared."""
NAMED: Final = 3


def find(processes: Sequence[Process], at: int) -> list[Finding]:
    """Returns one finding for each group of queues whose workers differ."""
    queues: dict[tuple[Scope, str], list[Process]] = {}
    for process in present(processes):
        if process.is_connected and at - process.began_at >= SETTLED_US:
            for engine in process.engines:
                for queue in process.queues:
                    queues.setdefault((process.scope._replace(engine=engine), queue), []).append(process)
    alike: dict[tuple[Scope, str], list[str]] = {}
    for (scope, queue), workers in sorted(queues.items()):
        if text := _difference(scope.engine, workers):
            alike.setdefault((scope, text), []).append(queue)
    return [_finding(scope, text, names) for (scope, text), names in alike.items()]


def _difference(engine: str, workers: Sequence[Process]) -> str:
    """How they differ, as text; "" if they do not. What a worker does not report is not compared."""
    parts = []
    for word, values in (
        ("release", [worker.release for worker in workers]),
        ("pool", [worker.pool for worker in workers]),
        (engine, [worker.engines[engine] for worker in workers]),
    ):
        counts = Counter(value for value in values if value)
        if len(counts) > 1:
            listed = ", ".join(f"{number(count)} with {value}" for value, count in counts.most_common(NAMED))
            parts.append(f"{word}: {listed}" + (" …" if len(counts) > NAMED else ""))
    return "; ".join(parts)


def _finding(scope: Scope, text: str, queues: Sequence[str]) -> Finding:
    first = queues[0]
    what = f"queue {first}" if len(queues) == 1 else f"{first} and {plural(len(queues) - 1, 'more queue')}"
    return Finding(
        kind="different_workers", subject=first, level="warn", weight=30,
        title=f"Workers of {what} differ", text=text,
        why=f"connected workers for more than {SETTLED_US // MINUTE_US} minutes; the same task may run differently on each of them",
        scope=scope, action=Link("Compare the workers", workers_href(scope)),
        evidence=(Link("the queue", queue_href(scope, first)),),
    )  # fmt: skip
