# SPDX-License-Identifier: AGPL-3.0-or-later
"""The company with a real server: each of its processes has a connection, and the clock of both is put forward in steps."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.incidents.agents import Process, Run
from tests.incidents.moving_clock import VARIABLE, MovingClock
from tests.incidents.simulation import Simulation
from tests.incidents.traffic import SECOND
from tests.incidents.week import Week
from tests.support.stack import SERVER_PYTHON, Stack, stack, wait_for
from tests.support.wire_client import WireClient
from z4j_agent import wire

STEP_S = 2
FAST_S = 25
"""Where nothing has to be exact: there is a heartbeat and a look at each step."""
BEAT = 10 * SECOND
LOOK = 10 * SECOND
PUSH = SECOND // 4
BEHIND_S = 1.0
"""The work of a duty takes time of the machine, which this clock does not put forward: each look waits so long for a duty that is late."""
FIRST = 3
"""How many findings are seen at once."""


@dataclass
class Found:
    """A finding as /now.json reports it, and its place there (0 is the first)."""

    place: int
    fields: dict[str, Any]

    @property
    def action(self) -> str:
        action = self.fields["action"]
        return str(action["href"]) if action else ""


@dataclass
class World:
    """One server, the connections of all processes, and the company."""

    stack: Stack
    clock: MovingClock
    simulation: Simulation
    urls: dict[str, str]
    open: ExitStack
    clients: dict[str, WireClient] = field(default_factory=dict)
    """By boot."""
    records: dict[str, list[bytes]] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    checked_at: int = 0
    beat_at: int = 0
    findings: list[Found] = field(default_factory=list)
    """As of the last look."""

    def __post_init__(self) -> None:
        self.http = self.open.enter_context(
            httpx2.Client(
                base_url=self.stack.address,
                follow_redirects=True,
                verify=False,
                timeout=60,
                limits=httpx2.Limits(max_keepalive_connections=0),
            )
        )

    # -- what agents send ----------------------------------------------------------------------------------------------
    def frame(self, process: Process, frame: dict[str, Any]) -> None:
        if frame["type"] == "hello":
            client = WireClient(self.urls[process.app.name], boot=process.boot, say_hello=False)
            self.clients[process.boot] = self.open.enter_context(client)
            client.say(frame)
            client.hear()
            return
        self.clients[process.boot].say(frame)

    def record(self, process: Process, record: list[Any]) -> None:
        self.records.setdefault(process.boot, []).append(wire.encode_record(record))

    def catch_up(self) -> None:
        """The company goes on to the moment that the clock shows."""
        self.simulation.advance(max(self.now, self.clock.now()), self)
        self.flush()

    def flush(self) -> None:
        """Sends what was recorded, and waits until it is stored. What a process recorded just before it was killed is read from its spool
        by the next one; here its connection serves."""
        for boot, records in self.records.items():
            if records and boot in self.clients:
                self.clients[boot].send_and_wait(b"".join(records))
                records.clear()

    def cut(self, process: Process) -> list[Run]:
        """The process is gone, and its connection with it. Returns what it ran."""
        self.catch_up()
        runs = self.simulation.kill(process)
        self.clients.pop(process.boot).socket.close_socket()
        return runs

    def leave(self, process: Process) -> list[Run]:
        """The process ends in order. Returns what it ran."""
        self.catch_up()
        runs = self.simulation.kill(process)
        client = self.clients.pop(process.boot)
        client.say({"type": "goodbye", "reason": "stopped"})
        client.socket.close()
        return runs

    def freeze(self, process: Process) -> list[Run]:
        """Nothing comes from the process any longer; its connection is not closed, as where a host has lost its network."""
        self.catch_up()
        return self.simulation.kill(process)

    def start(self, process: Process) -> Process:
        """Connects a process that was added."""
        self.catch_up()
        self.simulation.connect(self, process)
        self.flush()
        return process

    # -- time ----------------------------------------------------------------------------------------------------------
    @property
    def now(self) -> int:
        return self.simulation.now

    def pass_time(self, seconds: float, until: Callable[[], bool] = lambda: False, *, step_s: int = STEP_S) -> bool:
        """Lets the company go on; returns early, with True, as soon as `until` is true after a look of the server."""
        ends = self.now + int(seconds * SECOND)
        while self.now < ends:
            at = max(min(self.now + step_s * SECOND, ends), self.clock.now())
            self.clock.move_to(at)
            self.simulation.advance(at, self)
            if at - self.beat_at >= BEAT:
                self.beat_at = at
                self.simulation.beat(self)
            self.flush()
            if self._look():
                if until():
                    return True
                if self.find(("duty",), ""):
                    time.sleep(BEHIND_S)
        return False

    def _look(self) -> bool:
        """Waits for the server's next look if one is due. Returns whether there was one."""
        if self.clock.now() - self.checked_at < LOOK + SECOND // 10:
            return False
        before = self.checked_at

        def has_looked() -> bool:
            """It sleeps ten seconds of the clock after its last look has ended, which the machine may take long for."""
            self.clock.move_to(self.clock.now() + PUSH)
            return self.read() != before

        wait_for(has_looked, what="the server looks again")
        return True

    # -- who is called -----------------------------------------------------------------------------------------------
    def call(self, url: str, kinds: tuple[str, ...]) -> None:
        """From now on these kinds of findings are alerts, whose messages a webhook receives."""
        headers = {"Origin": self.stack.address}
        channel = {"name": "pager", "kind": "webhook", "url": url}
        rule = {
            "name": "called",
            "severity": "critical",
            "channel:1": "yes",
            "cooldown_s": "0",
            **{f"kind:{kind}": "yes" for kind in kinds},
        }
        for path, form in (("/alerts/channels", channel), ("/alerts/rules/new", rule)):
            answer = self.http.post(path, data=form, headers=headers)
            answer.raise_for_status()

    # -- what is shown -------------------------------------------------------------------------------------------------
    def sign_in(self, link: str) -> None:
        self.http.get("/login", params={"code": link})
        self.cookies = dict(self.http.cookies)

    def read(self) -> int:
        """Reads the findings of the last look. Returns when that was."""
        answer = self.http.get("/now.json", headers={"Accept": "application/json"})
        answer.raise_for_status()
        shown = answer.json()
        self.checked_at = shown["checked_at"] or 0
        self.findings = [Found(place, fields) for place, fields in enumerate(shown["findings"])]
        return self.checked_at

    def find(self, kinds: tuple[str, ...], subject: str) -> Found | None:
        """The first finding of one of these kinds whose subject or title has a word."""
        return next(
            (each for each in self.findings if each.fields["kind"] in kinds and subject in each.fields["subject"] + each.fields["title"]),
            None,
        )

    @property
    def titles(self) -> list[str]:
        """What is shown, the first one first."""
        return [f"{each.fields['kind']}: {each.fields['title']}" for each in self.findings]


@contextmanager
def world(folder: Path, week: Week) -> Iterator[World]:
    """A server with a copy of the week, to which every process is connected, at the moment the week ends."""
    with stack(folder) as made, ExitStack() as open_:
        shutil.copytree(week.folder, made.data)
        moving = MovingClock(folder / "clock")
        simulation = copy.deepcopy(week.simulation)
        moving.move_to(simulation.now)
        made.variables[VARIABLE] = str(folder / "clock")
        made.start_server([SERVER_PYTHON, "-m", "tests.incidents.server"])
        urls = {app: f"{url.rpartition('@')[0]}@127.0.0.1:{made.port}" for app, url in week.urls.items()}
        running = World(made, moving, simulation, urls, open_)
        running.sign_in(week.link)
        moving.move_to(simulation.now)
        for process in simulation.processes:
            simulation.connect(running, process)
        simulation.beat(running)
        running.flush()
        yield running
