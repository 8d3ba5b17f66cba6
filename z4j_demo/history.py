# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes the past month of the four apps to standard output, as batches of records: a line `app at bytes` before each."""

from __future__ import annotations

import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from z4j_agent.settings import SealKey
from z4j_demo import lives, present
from z4j_demo.brief import Brief, read_brief
from z4j_demo.lives import Process
from z4j_demo.story import APPS, DAY, HOUR, KINDS, MINUTE, PRODUCTION, STEADY, WORKERS, Kind, Worker

BATCH = 900
"""Tasks in one batch."""
RECENT = 3 * HOUR
"""Before the demo begins there are as many tasks in a minute as its live workers make."""
INCIDENT = 50 * MINUTE
"""How long ago the mail server began to refuse connections."""
ORIGINALS_DAYS = 7
"""As long as the server keeps the originals of succeeded tasks."""


def main(folder: Path) -> None:
    """Writes everything, oldest first."""
    write_history(read_brief(folder), sys.stdout.buffer)


def write_history(brief: Brief, out: BinaryIO) -> None:
    """Writes the batches of a brief. The same brief gives the same tasks."""
    rng = random.Random(brief.seed)  # noqa: S311 -- a story, no secret
    key = seal_key(brief.connections["warehouse"])
    of_worker = {worker: lives.processes_of(worker, brief.now, brief.days) for worker in WORKERS}
    for app in APPS:
        origins = [process.origin() for worker, known in of_worker.items() if worker.app == app for process in known]
        _write(out, app, brief.now, b"".join(origins))
    choices = _Choices(of_worker)
    batches: dict[str, list[bytes]] = defaultdict(list)
    times = moments(rng, brief)
    for number, at in enumerate(times):
        kind, process = choices.choose(rng, at)
        life = lives.begin(rng, kind, process, at)
        if lives.is_over(life, brief.now):
            batches[kind.app] += lives.whole(
                rng, life, key, has_original=at > brief.now - ORIGINALS_DAYS * DAY, is_incident=at > brief.now - INCIDENT
            )
        if number % BATCH == BATCH - 1 or number == len(times) - 1:
            for app, records in batches.items():
                _write(out, app, brief.now, b"".join(records))
            batches.clear()
    steady = [*_steady(rng, of_worker, brief.now), *_charges(rng, of_worker, key)]
    for start in range(0, len(steady), BATCH):
        _write(out, "shop", brief.now, b"".join(steady[start : start + BATCH]))
    for app in APPS:
        held = [record for each in present.held_now(brief) if each.life.kind.app == app for record in each.records()]
        _write(out, app, brief.now, b"".join(held))
    out.flush()


def _steady(rng: random.Random, of_worker: dict[Worker, list[Process]], now: int) -> Iterator[bytes]:
    """The records of each task of the names that ran all day."""
    process = next(known[-1] for worker, known in of_worker.items() if (worker.app, worker.environment) == ("shop", PRODUCTION))
    for kind, until in STEADY.items():
        for at in range(now - 26 * HOUR, now - until, 2 * MINUTE):
            life = lives.begin(rng, kind, process, at)
            yield b"".join([*lives.sent(life, None, has_original=True), lives.succeeded(life)])


def _charges(rng: random.Random, of_worker: dict[Worker, list[Process]], key: SealKey | None) -> Iterator[bytes]:
    """The records of a charge every twenty minutes while the bad release ran: its failures are there when it ran by night, too."""
    kind = next(kind for kind in KINDS if kind.name == "billing.charge")
    of_shop = (known for worker, known in of_worker.items() if (worker.app, worker.engine) == (kind.app, kind.engine))
    bad, after = next((known[1], known[2]) for known in of_shop if len(known) > 2)
    for at in range(bad.started_at, after.started_at - MINUTE, 20 * MINUTE):
        yield b"".join(lives.whole(rng, lives.begin(rng, kind, bad, at), key, has_original=True, is_incident=False))


def seal_key(url: str) -> SealKey | None:
    """The seal key of a connection string."""
    seal = (urlsplit(url).username or "").partition(".")[2]
    return SealKey.parse(seal) if seal else None


def _write(out: BinaryIO, app: str, at: int, records: bytes) -> None:
    if records:
        out.write(f"{app} {at} {len(records)}\n".encode())
        out.write(records)


def moments(rng: random.Random, brief: Brief) -> list[int]:
    """When tasks were sent, oldest first: more by day than by night, fewer at weekends, and a steady flow in the last hours."""
    first, span = brief.now - brief.days * DAY, brief.days * 24
    weights = [_weight((first + hour * HOUR) // HOUR) for hour in range(span)]
    recent = brief.tasks // 8
    hours = rng.choices(range(span), weights, k=brief.tasks - recent)
    times = [first + hour * HOUR + rng.randrange(HOUR) for hour in hours]
    return sorted(times + [brief.now - rng.randrange(RECENT) for _ in range(recent)])


def _weight(hour: int) -> float:
    by_day = 1.0 + 0.8 * math.sin((hour % 24 - 8) / 24 * 2 * math.pi)
    return by_day * (0.45 if (hour // 24 + 3) % 7 > 4 else 1.0)


class _Choices:
    """Chooses a task name by its weight, and the process that ran it."""

    def __init__(self, of_worker: dict[Worker, list[Process]]) -> None:
        self.weights = [kind.weight for kind in KINDS]
        workers = list(of_worker.items())
        self.of_kind: dict[Kind, list[list[Process]]] = {}
        for kind in KINDS:
            able = [(worker, known) for worker, known in workers if (worker.app, worker.engine) == (kind.app, kind.engine)]
            busy = [known for worker, known in able if worker.environment == PRODUCTION]
            self.of_kind[kind] = busy * 4 + [known for worker, known in able if worker.environment != PRODUCTION]

    def choose(self, rng: random.Random, at: int) -> tuple[Kind, Process]:
        kind = rng.choices(KINDS, self.weights)[0]
        known = self.of_kind[kind]
        return kind, lives.process_at(known[rng.randrange(len(known))], at)
