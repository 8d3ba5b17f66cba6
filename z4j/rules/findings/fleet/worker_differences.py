# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports workers of one queue that differ in release, pool, engine version, or an option such as prefetch or serializer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from z4j.formats import number, plural
from z4j.rules.findings.finding import Finding, Link, Scope, queue_href, worker_href, workers_href
from z4j.rules.findings.fleet.process import MINUTE_US, Process, present

SETTLED_US: Final = 10 * MINUTE_US
"""Workers that connected more recently are not compared: a deployment may be in progress."""
NAMED: Final = 3
LINKED: Final = 4


class Difference(NamedTuple):
    """How workers differ, as text, and the workers with the least common values."""

    text: str
    workers: tuple[str, ...]


def find(processes: Sequence[Process], at: int) -> list[Finding]:
    """Returns one finding for each group of queues whose workers differ."""
    queues: dict[tuple[Scope, str], list[Process]] = {}
    for process in present(processes):
        if process.is_connected and at - process.began_at >= SETTLED_US:
            for engine in process.engines:
                for queue in process.queues:
                    queues.setdefault((process.scope._replace(engine=engine), queue), []).append(process)
    alike: dict[tuple[Scope, Difference], list[str]] = {}
    for (scope, queue), workers in sorted(queues.items()):
        if (difference := _difference(scope.engine, workers)).text:
            alike.setdefault((scope, difference), []).append(queue)
    return [_finding(scope, difference, names) for (scope, difference), names in alike.items()]


def _difference(engine: str, workers: Sequence[Process]) -> Difference:
    """How they differ; without text if they do not. Values that a worker does not report are not compared."""
    parts, fewest = list[str](), dict[str, None]()
    for word, values in _compared(engine, workers):
        by_value: dict[str, list[str]] = {}
        for worker, value in zip(workers, values, strict=True):
            if value:
                by_value.setdefault(value, []).append(worker.worker)
        if len(by_value) > 1:
            ordered = sorted(by_value.items(), key=lambda item: -len(item[1]))
            listed = ", ".join(f"{number(len(names))} with {value}" for value, names in ordered[:NAMED])
            parts.append(f"{word}: {listed}" + (" …" if len(ordered) > NAMED else ""))
            few = [ordered[-1]] if len(ordered[0][1]) > len(ordered[-1][1]) else [ordered[0], ordered[-1]]
            fewest |= dict.fromkeys(name for _, names in few for name in sorted(names)[:NAMED])
    return Difference("; ".join(parts), tuple(fewest)[:LINKED])


def _compared(engine: str, workers: Sequence[Process]) -> Iterator[tuple[str, list[str]]]:
    yield "release", [worker.release for worker in workers]
    yield "pool", [worker.pool for worker in workers]
    yield engine, [worker.engines[engine] for worker in workers]
    for option in sorted({option for worker in workers for option in worker.options}):
        yield option, [worker.options.get(option, "") for worker in workers]


def _finding(scope: Scope, difference: Difference, queues: Sequence[str]) -> Finding:
    first = queues[0]
    what = f"queue {first}" if len(queues) == 1 else f"{first} and {plural(len(queues) - 1, 'more queue')}"
    return Finding(
        kind="different_workers", subject=first, level="warn", weight=30,
        title=f"Workers of {what} differ", text=difference.text,
        why=f"compares workers connected for more than {SETTLED_US // MINUTE_US} minutes; a task may run differently on each of them",
        scope=scope, action=Link("Compare the workers", workers_href(scope)),
        evidence=(
            *(Link(worker, worker_href(scope, worker)) for worker in difference.workers), Link("the queue", queue_href(scope, first))
        ),
    )  # fmt: skip
