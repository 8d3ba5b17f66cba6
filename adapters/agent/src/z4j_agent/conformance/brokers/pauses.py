# SPDX-License-Identifier: Apache-2.0
"""Two brokers of one engine with queues of the same name, and a monitored worker of each on one host: a pause applies to the queue in
one broker."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import z4j_agent
from z4j_agent.conformance.assertions import final_answer
from z4j_agent.conformance.brokers.two_brokers import BOTH, OwnGateway, TwoBrokers
from z4j_agent.conformance.gateway import Gateway, Link
from z4j_agent.conformance.harness import wait_for
from z4j_agent.conformance.operations import NOT_STARTED_S

PATIENCE_S = 60


def group_of(pid: int) -> int:
    """The process group of a process, 0 where it has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


class PausesContract(OwnGateway):
    """Subclass it with a `harness_class`, whose workers install the adapter if `Z4J_URL` is set; the name must begin with `Test`."""

    harness_class: ClassVar[type[TwoBrokers]]

    @pytest.fixture
    def two(self, gateway: Gateway, tmp_path: Path) -> Iterator[TwoBrokers]:
        """This process sends tasks; commands are sent to the workers only."""
        two = self.harness_class(tmp_path, gateway.url)
        two.watches_workers = True
        two.set_up()
        two.connect(gateway)
        try:
            yield two
        finally:
            two.disconnect()
            z4j_agent.stop()
            two.tear_down()

    # -- helpers-----------------------------------------------------------------------------------------------------
    def started(self, gateway: Gateway, two: TwoBrokers, which: int) -> tuple[subprocess.Popen[bytes], str]:
        """A worker that has run a task, and its broker: the first that its hello names."""
        before = len(gateway.links)
        process = two.start_worker_of(which)

        def links() -> list[Link]:
            """Not another worker's, which may reconnect meanwhile: every worker is started with a process group of its own."""
            links = [link for link in gateway.links[before:] if link.is_open and link.hello["role"] == "worker"]
            return [link for link in links if group_of(link.hello["pid"]) == process.pid]

        link = wait_for(links, f"the worker of {which} connects", seconds=PATIENCE_S)[-1]
        return process, next(iter(link.hello["brokers"][two.engine]))

    @staticmethod
    def links_of(gateway: Gateway, two: TwoBrokers, name: str) -> list[Link]:
        """The open connections of the workers of a broker."""
        workers = (link for link in gateway.open_links() if link.hello["role"] == "worker")
        return [link for link in workers if next(iter(link.hello["brokers"][two.engine]), "") == name]

    def link_of(self, gateway: Gateway, two: TwoBrokers, name: str) -> Link:
        """The newest: a worker may have reconnected under a name that it found later."""
        return wait_for(lambda: self.links_of(gateway, two, name), f"the worker of {name} is connected", seconds=PATIENCE_S)[-1]

    def done(self, gateway: Gateway, two: TwoBrokers, name: str, action: str, link: Link | None = None, **params: Any) -> None:
        link = link or self.link_of(gateway, two, name)
        status, facts = final_answer(gateway, gateway.ask(link, action, two.engine, {"queue": two.queue, **params}))
        assert status == "done", facts

    @staticmethod
    def runs(two: TwoBrokers, which: int, value: str) -> None:
        wait_for(lambda: value in two.ran(which), f"{value} runs", seconds=PATIENCE_S)

    def pause(self, gateway: Gateway, two: TwoBrokers, name: str, which: int, **params: Any) -> None:
        """Waits until no task is taken: a worker that was waiting for a task may still take one (Huey)."""
        self.done(gateway, two, name, "pause_queue", **params)
        for number in range(5):
            two.send(which, probe := f"probe {number}")
            time.sleep(NOT_STARTED_S)
            if probe not in two.ran(which):
                return
        raise AssertionError("it is paused and still takes tasks")

    @staticmethod
    def check_pauses(two: TwoBrokers, which: int, *values: str) -> None:
        time.sleep(NOT_STARTED_S)
        assert not set(values) & set(two.ran(which))

    def both(self, gateway: Gateway, two: TwoBrokers) -> tuple[list[subprocess.Popen[bytes]], list[str]]:
        """The workers and the broker of each."""
        processes, names = zip(*(self.started(gateway, two, which) for which in BOTH), strict=True)
        assert len(set(names)) == 2, names
        for which in BOTH:
            two.send(which, "before")
            self.runs(two, which, "before")
        return list(processes), list(names)

    def restarted(self, gateway: Gateway, two: TwoBrokers, which: int, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        self.started(gateway, two, which)

    # -- the contract --------------------------------------------------------------------------------------------------
    def test_a_pause_holds_the_queue_of_its_broker_alone(self, gateway: Gateway, two: TwoBrokers) -> None:
        processes, names = self.both(gateway, two)
        self.pause(gateway, two, names[0], 0, broker=names[0])
        self.done(gateway, two, names[0], "pause_queue", broker=names[0])  # twice is once
        for which in BOTH:
            two.send(which, "paused")
        self.runs(two, 1, "paused")
        self.check_pauses(two, 0, "paused")
        for which in BOTH:
            self.restarted(gateway, two, which, processes[which])
        two.send(1, "restarted")
        self.runs(two, 1, "restarted")
        self.check_pauses(two, 0, "paused")
        self.done(gateway, two, names[0], "resume_queue", broker=names[0])
        self.runs(two, 0, "paused")

    def test_one_of_two_paused_brokers_goes_on(self, gateway: Gateway, two: TwoBrokers) -> None:
        _, names = self.both(gateway, two)
        for which in BOTH:
            self.pause(gateway, two, names[which], which, broker=names[which])
            two.send(which, "paused")
        self.check_pauses(two, 0, "paused")
        self.check_pauses(two, 1, "paused")
        self.done(gateway, two, names[1], "resume_queue", broker=names[1])
        self.runs(two, 1, "paused")
        self.check_pauses(two, 0, "paused")
        self.done(gateway, two, names[0], "resume_queue", broker=names[0])
        self.runs(two, 0, "paused")

    def test_an_older_server_names_no_broker_and_means_all(self, gateway: Gateway, two: TwoBrokers) -> None:
        processes, names = self.both(gateway, two)
        for which in BOTH:
            self.pause(gateway, two, names[which], which)
            two.send(which, "paused")
        self.restarted(gateway, two, 0, processes[0])
        for which in BOTH:
            self.check_pauses(two, which, "paused")
        self.done(gateway, two, names[1], "resume_queue", broker=names[1])  # the server was upgraded meanwhile
        self.runs(two, 1, "paused")
        self.check_pauses(two, 0, "paused")
        self.done(gateway, two, names[0], "resume_queue")
        self.runs(two, 0, "paused")

    def test_each_worker_of_a_host_goes_on(self, gateway: Gateway, two: TwoBrokers) -> None:
        """They share the stored pause: the first one that is resumed must not leave the others paused."""
        workers = [self.started(gateway, two, 0) for _ in range(2)]
        name = workers[0][1]
        links = wait_for(
            lambda: links if len(links := self.links_of(gateway, two, name)) == 2 else [], "both are connected", seconds=PATIENCE_S
        )
        for link in links:
            self.done(gateway, two, name, "pause_queue", link, broker=name)
        for link in links:
            self.done(gateway, two, name, "resume_queue", link, broker=name)
        first, _ = workers[0]
        its_links = [link for link in links if group_of(link.hello["pid"]) == first.pid]
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(PATIENCE_S)
        # Its children end a moment later: the broker may hand a message to a connection that is still open.
        wait_for(lambda: not any(link.is_open for link in its_links), "the connections of the first are closed", seconds=PATIENCE_S)
        two.send(0, "taken by the second")
        self.runs(two, 0, "taken by the second")

    def test_a_worker_of_another_broker_does_not_pause(self, gateway: Gateway, two: TwoBrokers) -> None:
        """It accepts the command, because its process may use that broker, too."""
        _, names = self.both(gateway, two)
        gateway.ask(self.link_of(gateway, two, names[1]), "pause_queue", two.engine, {"queue": two.queue, "broker": names[0]})
        self.done(gateway, two, names[1], "resume_queue", broker=names[1])
        two.send(1, "continues")
        self.runs(two, 1, "continues")
