# SPDX-License-Identifier: AGPL-3.0-or-later
"""What goes wrong in a demo, so that each kind of finding is seen: recorded processes that go silent, restart in a loop or report a fault.

Faults of schedules are in `recorded_scheduler`. Their texts for visitors are in `z4j.appliance.demo_faults`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from z4j_demo import lives
from z4j_demo.brief import Brief
from z4j_demo.link import Facts, Link, now
from z4j_demo.lives import Process
from z4j_demo.present import Held
from z4j_demo.recorded_worker import RecordedWorker
from z4j_demo.story import BAD, GOOD, KINDS, MINUTE, OPTIONS, PRODUCTION, QUICK, SECOND, SLOW, SMTP, VERSIONS, Failure, Kind, Worker

SILENT_S: Final = 3.0
"""After which the host that goes silent is gone."""
STARTS: Final = 50
UP_S: Final = 5.0
DOWN_S: Final = 7.0
KILL_S: Final = 20.0
"""After which the next task kills its process."""
TURN_S: Final = 25.0
"""After which the broker has lost tasks."""
BEHIND_S: Final = 900.0
KIND: Final = {kind.name: kind for kind in KINDS}
IMPORT: Final = Kind("shop", "celery", "imports.load", "imports", 1, 800, "[{number}]")
CAMPAIGN: Final = Kind("shop", "celery", "campaigns.render", "campaigns", 1, 1_500, "[{number}]")
SURVEY: Final = Kind("shop", "celery", "emails.send_survey", "emails", 1, 100, "[{number}]")
MERGE: Final = Kind("shop", "celery", "carts.merge", "default", 1, 200, "[{number}]", "true")
MERGE_FAILS: Final = tuple(
    Failure(type, error, (("carts.py", 30 + line, "merge", "merged = left.merge(right)"),))
    for line, (type, error) in enumerate(
        {
            "KeyError": "'price'", "IndexError": "list index out of range", "AttributeError": "'Cart' object has no attribute 'lines'",
            "ZeroDivisionError": "division by zero", "AssertionError": "the cart is open",
        }.items()
    )
)  # fmt: skip
"""Different errors, each of them rare."""
NEWSLETTER: Final = Kind("shop", "celery", "newsletters.send", "newsletters", 1, 300, "[{number}]")


class FaultyWorker(Link):
    """A worker that reports a fault. It runs nothing and answers no action."""

    options: ClassVar[dict[str, str]] = {}
    """Of its worker, where they differ from those of others."""

    def __init__(
        self, brief: Brief, worker: Worker, run: str = "", release: str = GOOD, queues: Iterable[str] = (),
        held: dict[str, Held] | None = None,
    ) -> None:  # fmt: skip
        boot = lives.boot_of(*worker[:4], "faulty", run, str(brief.now))
        hello = {
            "host": worker.host, "role": "worker", "worker": worker.name, "app": worker.app, "environment": worker.environment,
            "release": release, "engines": {worker.engine: f"{VERSIONS[worker.engine]} demo"}, "capabilities": [],
        }  # fmt: skip
        super().__init__(brief.connections[worker.app], boot, hello)
        self.process = Process(worker, boot, release, now())
        self.rng = random.Random(f"{brief.seed}{worker.name}{run}")  # noqa: S311 -- a story, no secret
        self.queues = list(queues)
        self.names: list[Kind] = []
        self.held: dict[str, Held] = {} if held is None else held
        """What the recorded workers of its app answer for."""
        self.waiting.append(self.process.origin())

    async def report(self) -> None:
        """Its worker, and the names that it has registered."""
        worker = self.process.worker
        facts = {
            "name": worker.name,
            "pool": worker.pool,
            "concurrency": worker.concurrency,
            "queues": self.queues,
            "pids": [7],
            "notes": [],
            "options": OPTIONS.get(worker.engine, {}) | self.options,
        }
        await self.say(
            {
                "type": "discovery", "engine": worker.engine, "queues": [], "worker": facts,
                "tasks": [[kind.name, "(*args)", "Recorded", kind.queue] for kind in self.names],
            }
        )  # fmt: skip

    def execute(self, action: str, params: Facts) -> tuple[str, Facts]:
        return "unsupported", {"error": "demo: not recorded"}

    def begin(self, kind: Kind, ago_us: int) -> lives.Life:
        """A task that was sent a while ago, with its records so far."""
        life = lives.begin(self.rng, kind, self.process, now() - ago_us)
        self.waiting += lives.sent(life, None, has_original=True)
        return life

    def hold(self, kind: Kind, ago_us: int, state: str = "queued") -> None:
        """A task that has not ended."""
        life = self.begin(kind, ago_us)
        self.held[life.task_id] = Held(life, state)
        if state == "running":
            self.waiting.append(lives.started(life))

    def end(self, life: lives.Life, end: str, at: int, *rest: Any) -> None:
        """The end of a task, with the fields that follow its queue."""
        self.record(end, life.kind.engine, life.task_id, 0, at, f"{self.boot}.7", life.kind.name, life.kind.queue, *rest)


class SilentHost(FaultyWorker):
    """A host that is gone with what it ran, without a goodbye."""

    def __init__(self, brief: Brief, held: dict[str, Held]) -> None:
        worker = Worker("shop", "celery", PRODUCTION, "celery@shop-4", "shop-4", "prefork", 8)
        super().__init__(brief, worker, queues=["exports"], held=held)
        for _ in range(5):
            self.hold(KIND["reports.export_pdf"], 10 * SECOND, "running")

    async def run(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(super().run(), SILENT_S)


class RestartingWorker:
    """A worker that is killed soon after its start, some times; then it stays."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.worker = Worker("media", "taskiq", PRODUCTION, "taskiq@gpu-2", "gpu-2", "async", 4)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        for number in range(STARTS):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(FaultyWorker(self.brief, self.worker, str(number)).run(), UP_S)
            await asyncio.sleep(DOWN_S)
        await FaultyWorker(self.brief, self.worker, "last").run()

    async def live(self) -> None:
        """Does nothing else."""


class LateHost(FaultyWorker):
    """A host whose clock is ahead, and whose agent has much to send."""

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief, Worker("media", "dramatiq", PRODUCTION, "dramatiq@media-2", "media-2", "threads", 8))
        self.skew_us, self.began = 4 * SECOND, now()

    def vitals(self) -> Facts:
        return {"spool_bytes": 9_400_000 if now() - self.began < BEHIND_S * SECOND else 0}


class Reporter(FaultyWorker):
    """A worker of another release, and with another prefetch, that reports tasks which were lost, unknown or retried, and queues that are
    in trouble."""

    options: ClassVar[dict[str, str]] = {"worker_prefetch_multiplier": "1"}

    def __init__(self, brief: Brief, held: dict[str, Held]) -> None:
        worker = Worker("shop", "celery", PRODUCTION, "celery@shop-6", "shop-6", "prefork", 8)
        super().__init__(brief, worker, release=BAD, queues=["thumbs", "imports"], held=held)
        self.began = now()
        self.names = [IMPORT, CAMPAIGN, NEWSLETTER]
        for ago in (180, 120, 60, 25):
            self.kill(ago * SECOND)
        for _ in range(12):
            life = self.begin(SURVEY, 2 * MINUTE)
            self.end(life, "rejected", life.started_at, None, None, "unknown_task", "Received unregistered task", None, None)
        for _ in range(24):
            life = self.begin(KIND["search.reindex"], 2 * MINUTE)._replace(runtime=SECOND)
            for attempt in range(3):
                self.waiting.append(lives.retried(life, SMTP, life.started_at + SECOND, attempt))
            self.waiting += [lives.started(life, 3, now() - 20 * SECOND), lives.succeeded(life, 3, now() - 20 * SECOND)]
        for number in range(24):
            life = self.begin(MERGE, (270 - number * 10) * SECOND)
            self.waiting.append(lives.failed(life, MERGE_FAILS[number % 5]) if number % 2 else lives.succeeded(life))
        for kind, runtime in ((SLOW, 2_600_000), (QUICK, 4_000)):
            for number in range(40):
                life = self.begin(kind, (number + 1) * 12 * SECOND)._replace(runtime=runtime + number * runtime // 80)
                self.waiting.append(lives.succeeded(life))
        for kind, tasks, ago in ((IMPORT, 40, 5), (NEWSLETTER, 64, 8)):
            for _ in range(tasks):
                self.hold(kind, ago * MINUTE)
        for minute in range(10):
            for number in range(60):
                self.hold(CAMPAIGN, (minute + 1) * MINUTE - number * SECOND)
        at = now()
        dropped = {"count": 1_240, "bytes": 310_000, "first_at": at - 9 * MINUTE, "last_at": at - 4 * MINUTE, "cause": "spool_full"}
        self.record("gap", f"demo-{self.boot}", at, dropped)
        self.record("fault", f"demo-{self.boot}", at, {"where": "capture", "error": "KeyError: 'headers'", "count": 3})
        self.record("demo: a record of no kind")

    def kill(self, ago_us: int) -> None:
        """A task that was lost with its process."""
        life = self.begin(KIND["thumbs.make"], ago_us)
        self.waiting.append(lives.started(life))
        self.end(life, "lost", life.started_at + 5 * SECOND, "child_killed", "signal 9 (SIGKILL)")

    def vitals(self) -> Facts:
        """Queues, as their broker sees them; after a while it has lost tasks. It gets more and more dead letters."""
        at, is_later = now(), now() - self.began > TURN_S * SECOND
        grown = (at - self.began) // SECOND
        return {
            "queues": [
                ["celery", "newsletters", 64, 0, self.began - 8 * MINUTE],
                ["celery", "imports", 0 if is_later else 40, 1, None if is_later else self.began - 5 * MINUTE],
                ["celery", "campaigns", 600 + grown, 2, self.began - 10 * MINUTE],
                ["celery", "invoices", 2, 3, at - SECOND, 0, min(2 + grown // 4, 40)],
            ]
        }  # fmt: skip

    async def live(self) -> None:
        """Its queue of campaigns goes on growing, and tasks go on killing their process, for a while."""
        killed_at = self.began
        while now() - self.began < BEHIND_S * SECOND:
            await asyncio.sleep(5)
            if now() - killed_at >= KILL_S * SECOND:
                killed_at = now()
                self.kill(6 * SECOND)
            for number in range(5):
                self.hold(CAMPAIGN, number * SECOND)
            await self.flush()


def faults_of(brief: Brief, workers: Iterable[RecordedWorker]) -> list[FaultyWorker | RestartingWorker]:
    """All of them. `workers` are the recorded ones, which answer for their tasks."""
    held = next(worker.held for worker in workers if worker.process.worker[:3] == ("shop", "celery", PRODUCTION))
    return [SilentHost(brief, held), RestartingWorker(brief), LateHost(brief), Reporter(brief, held)]
