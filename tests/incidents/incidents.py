# SPDX-License-Identifier: AGPL-3.0-or-later
"""Twelve incidents: how each begins and goes on, how its cause ends, which finding names it, and where its link leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from tests.incidents.agents import Process, Run, record
from tests.incidents.traffic import SECOND, Kind
from tests.incidents.world import FAST_S, World

MINUTE_S: Final = 60


@dataclass
class Incident:
    """`begin` and `end` change the company; `go_on` is called after each step between them."""

    kinds: ClassVar[tuple[str, ...]]
    """The findings that name it."""
    subject: ClassVar[str]
    leads_to: ClassVar[tuple[str, ...]]
    """What the link of the finding may begin with."""
    shows: ClassVar[str]
    """What to act with is there, as a selector."""
    over_s: ClassVar[int] = 6 * MINUTE_S
    """Within this time after its cause ended it is no longer shown."""

    def prepare(self, world: World) -> None:
        """Before it begins."""

    def begin(self, world: World) -> None:
        raise NotImplementedError

    def has_begun(self, world: World) -> bool:
        """Whether it is more than what may happen on any day."""
        return True

    def go_on(self, world: World) -> None:
        """Between its steps."""

    def end(self, world: World) -> None:
        raise NotImplementedError


class BadDeploy(Incident):
    """A release whose mails fail."""

    kinds, subject = ("error", "failing_more"), "emails.send"
    leads_to, shows = ("/errors/", "/plans/new?"), "text=Retry"
    over_s = 10 * MINUTE_S

    def begin(self, world: World) -> None:
        self._deploy(world, "2.15.0")
        world.simulation.change("emails.send", failing=0.9, error=("TypeError", "send() missing 1 required argument: 'locale'"))

    def end(self, world: World) -> None:
        self._deploy(world, "2.15.1")
        world.simulation.change("emails.send", failing=0.01)

    def _deploy(self, world: World, release: str) -> None:
        for process in world.simulation.alive("shop", "worker"):
            for run in world.leave(process):
                world.simulation.redeliver(run)
            world.start(world.simulation.restart(process, release))


class SlowDependency(Incident):
    """The receiver of web hooks answers after seconds."""

    kinds, subject = ("slow",), "hooks.deliver"
    leads_to, shows = ("/tasks?",), "text=hooks.deliver"

    def begin(self, world: World) -> None:
        world.simulation.change("hooks.deliver", ran_s=5.0)

    def end(self, world: World) -> None:
        world.simulation.change("hooks.deliver", ran_s=0.25)


class PoisonMessage(Incident):
    """A message whose task ends the child that runs it: it is delivered again a second later, and ends the next one."""

    kinds, subject = ("killed",), "search.index"
    leads_to, shows = ("/errors/", "/tasks?"), "text=search.index"
    over_s = 3 * MINUTE_S
    process: Process
    run: Run
    next_at = 0
    child = 0

    def begin(self, world: World) -> None:
        simulation = world.simulation
        self.run = Run(simulation.kinds["search.index"], "5a1e0000-0000-4000-8000-00000000dead", simulation.now)
        producer = simulation.alive("shop", "producer")[0]
        world.record(producer, record("enqueued", self.run, simulation.now, producer, None, {"code": "shop.models.product:88"}))
        self.go_on(world)

    def go_on(self, world: World) -> None:
        if world.now < self.next_at:
            return
        if self.child:
            self._end(world)
        at, run = world.now, self.run
        self.child += 1
        self.process = world.simulation.alive("shop", "worker")[self.child % 2]
        facts = {"redelivered": True} if run.is_redelivered else None
        self._record(world, "received", at, None, facts)
        self._record(world, "started", at + 1_000, None)
        run.started_at = at + 1_000
        self.process.running[run.task_id] = run
        run.is_redelivered = True
        self.next_at = at + 12 * SECOND

    def _record(self, world: World, kind: str, at: int, *rest: object) -> None:
        made = record(kind, self.run, at, self.process, *rest)
        made[5] = f"{self.process.boot}.{7 + self.child}"
        world.record(self.process, made)

    def _end(self, world: World) -> None:
        self.process.running.pop(self.run.task_id, None)
        self._record(world, "lost", world.now - SECOND, "child_killed", "signal 9 (SIGKILL)")

    def end(self, world: World) -> None:
        """The next process is killed, too; then somebody removes the message."""
        self._end(world)


class OutOfMemory(Incident):
    """A worker that is killed as soon as it has taken a few tasks, and started again."""

    kinds, subject = ("restarts",), "media-1"
    leads_to, shows = ("/workers?",), "text=media-1"
    over_s = 3 * MINUTE_S
    process: Process
    is_down = False
    next_at = 0

    def begin(self, world: World) -> None:
        self.next_at = world.now
        self.go_on(world)

    def go_on(self, world: World) -> None:
        if world.now < self.next_at:
            return
        if self.is_down:
            world.start(world.simulation.restart(self.process))
        else:
            [self.process] = world.simulation.alive("media", "worker")
            for run in world.cut(self.process):
                world.simulation.redeliver(run)
        self.is_down = not self.is_down
        self.next_at = world.now + (5 if self.is_down else 10) * SECOND

    def end(self, world: World) -> None:
        if self.is_down:
            world.start(world.simulation.restart(self.process))


class DeadBeat(Incident):
    """The scheduler was killed."""

    kinds, subject = ("silent_scheduler",), "celery_beat"
    leads_to, shows = ("/schedules",), "text=collect-metrics"

    def begin(self, world: World) -> None:
        [self.process] = world.simulation.alive("shop", "scheduler")
        world.cut(self.process)

    def end(self, world: World) -> None:
        world.start(world.simulation.restart(self.process))


class TwoBeats(Incident):
    """A second scheduler of the same app was started."""

    kinds, subject = ("doubled_schedules",), "celery_beat"
    leads_to, shows = ("/schedules",), "text=collect-metrics"
    over_s = 5 * MINUTE_S

    def begin(self, world: World) -> None:
        [first] = world.simulation.alive("shop", "scheduler")
        self.second = world.simulation.add_process(first.app, "scheduler", "celery_beat@shop-2", "shop-2")
        world.start(self.second)

    def end(self, world: World) -> None:
        world.leave(self.second)


class NobodyConsumes(Incident):
    """Tasks are sent to a queue that no worker was started for."""

    kinds, subject = ("unserved_queue",), "imports"
    leads_to, shows = ("/queues/imports?",), "text=imports"

    def begin(self, world: World) -> None:
        self.kind = Kind("shop", "celery", "imports.load", "imports", 40, 0.5, is_rhythmic=False)
        world.simulation.kinds[self.kind.name] = self.kind
        for number in range(25):
            world.simulation.at(world.now + number * 2 * SECOND, "enqueue", self.kind.name)

    def end(self, world: World) -> None:
        world.simulation.change("imports.load", per_minute=10)
        [app] = {process.app for process in world.simulation.alive("shop", "worker")}
        world.start(world.simulation.add_process(app, "worker", "celery@shop-3", "shop-3", 8, ("imports",)))


class RetryStorm(Incident):
    """Nearly every attempt is tried again, two seconds later."""

    kinds, subject = ("retries",), "hooks.deliver"
    leads_to, shows = ("/tasks?",), "text=hooks.deliver"

    def begin(self, world: World) -> None:
        world.simulation.change("hooks.deliver", retrying=0.97, pause_s=2.0)

    def end(self, world: World) -> None:
        world.simulation.change("hooks.deliver", retrying=0.06, pause_s=20.0)


class UnregisteredTask(Incident):
    """The web server sends a task that the release of the workers does not have."""

    kinds, subject = ("unregistered",), "emails.send_digest"
    leads_to, shows = ("/tasks?",), "text=emails.send_digest"
    over_s = 3 * MINUTE_S

    def begin(self, world: World) -> None:
        self.kind = Kind("shop", "celery", "emails.send_digest", "emails", 12, 0.4, is_unknown=True)
        world.simulation.kinds[self.kind.name] = self.kind
        for number in range(12):
            world.simulation.at(world.now + (2 + number * 5) * SECOND, "enqueue", self.kind.name)

    def end(self, world: World) -> None:
        world.simulation.change(self.kind.name, is_unknown=False)
        for process in world.simulation.alive("shop", "worker"):
            for run in world.leave(process):
                world.simulation.redeliver(run)
            world.start(world.simulation.restart(process, "2.15.0"))


class SlowBacklog(Incident):
    """Mails come a little faster than the mail server takes them. It begins when 50 of them wait and one for a minute: before, it could be
    a burst."""

    kinds, subject = ("backlog",), "emails"
    leads_to, shows = ("/queues/emails?",), "text=emails"
    name = "emails.send"

    def begin(self, world: World) -> None:
        world.simulation.change(self.name, per_minute=60, is_rhythmic=False)
        self.queue = world.simulation.queue(world.simulation.kinds[self.name])
        self.queue.gap = 1_300_000

    def has_begun(self, world: World) -> bool:
        waiting = self.queue.waiting
        return len(waiting) >= 50 and world.now - next(iter(waiting.values())).enqueued_at >= MINUTE_S * SECOND

    def end(self, world: World) -> None:
        world.simulation.change(self.name, per_minute=8, is_rhythmic=True)
        self.queue.gap = 0
        world.simulation.release(self.queue)


class SilentHost(Incident):
    """A host has lost its network."""

    kinds, subject = ("silent_host",), "shop-2"
    leads_to, shows = ("/workers?",), "text=shop-2"

    def begin(self, world: World) -> None:
        [self.process] = [each for each in world.simulation.alive("shop", "worker") if each.host == "shop-2"]
        self.held = world.freeze(self.process)

    def end(self, world: World) -> None:
        world.cut(self.process)
        for run in self.held:
            world.simulation.redeliver(run)
        world.start(world.simulation.restart(self.process))


class EmptiedBroker(Incident):
    """Somebody has emptied the broker while forty videos waited."""

    kinds, subject = ("broker_loss",), "video"
    leads_to, shows = ("/tasks?",), "text=video.transcode"

    def prepare(self, world: World) -> None:
        simulation = world.simulation
        self.queue = simulation.queue(simulation.kinds["video.transcode"])
        self.queue.gap = 60 * SECOND
        for number in range(40):
            simulation.at(world.now + number * SECOND, "enqueue", "video.transcode")
        world.pass_time(3 * MINUTE_S, step_s=FAST_S)
        world.pass_time(MINUTE_S - (world.now // SECOND + MINUTE_S - 5) % MINUTE_S)  # the minutes of the reports begin soon

    def begin(self, world: World) -> None:
        self.queue.is_emptied = True

    def end(self, world: World) -> None:
        """The messages are sent again."""
        self.queue.is_emptied = False
        self.queue.gap = 0
        world.simulation.release(self.queue)


INCIDENTS: Final = (
    BadDeploy, SlowDependency, PoisonMessage, DeadBeat, TwoBeats, OutOfMemory, NobodyConsumes, RetryStorm, UnregisteredTask, SlowBacklog,
    SilentHost, EmptiedBroker,
)  # fmt: skip
