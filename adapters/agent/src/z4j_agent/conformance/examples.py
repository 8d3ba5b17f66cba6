# SPDX-License-Identifier: Apache-2.0
"""The example of an engine runs as described in its README, and the engine's own example has the same results with and without z4j."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import PATIENCE_S, Harness, free_port, wait_for

LONG_S = 60
CODE = re.compile(r"__main__:\d+")


class ExampleContract:
    """Subclass it for one engine; the name must begin with `Test`. Brokers are Redis, at `BROKER_URL` and `PORT`."""

    folder: ClassVar[Path]
    """Folder of the example, in which a worker and a producer run."""
    worker: ClassVar[tuple[str, ...]]
    """Arguments of `python` for the worker. `URL` is replaced by the broker's URL."""
    producer: ClassVar[tuple[str, ...]] = ("produce.py",)
    prints: ClassVar[str] = "5\n"
    """What the producer prints."""
    expected: ClassVar[tuple[str, str, str]]
    """Name, queue and result of the one task."""
    end: ClassVar[int] = signal.SIGTERM
    """The signal for a graceful shutdown of the worker."""

    files: ClassVar[Mapping[str, str]]
    """The engine's own example, from its documentation: name of a file → text, in which `INSTALL` and `PORT` are replaced."""
    install: ClassVar[str]
    """The line that installs z4j."""
    variants: ClassVar[tuple[str, ...]] = ("",)
    """Ways of running it."""

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        """Runs the engine's own example in this folder. Returns its complete output, without times, IDs and folders."""
        raise NotImplementedError

    def check_own(self, seen: dict[str, Any]) -> None:
        """Checks that it did what its documentation describes."""
        raise NotImplementedError

    # -- fixtures and tools --------------------------------------------------------------------------------------------
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "variant" in metafunc.fixturenames:
            metafunc.parametrize("variant", self.variants)

    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Harness]:
        """Only a broker and a folder, without a server."""
        harness = Harness(tmp_path, f"z4j+ws://z4a_{'x' * 43}@127.0.0.1:{free_port()}")
        try:
            self.port = harness.start_valkey()
            yield harness
        finally:
            harness.tear_down()

    def run(self, broker: Harness, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs `python` with these arguments to its end."""
        return subprocess.run(
            [sys.executable, *command], cwd=folder, env=broker.environment(), capture_output=True, text=True, timeout=LONG_S, check=False
        )

    def begin(self, broker: Harness, folder: Path, *command: str) -> subprocess.Popen[bytes]:
        """The same in the background; its output is `broker.log(folder.name)`."""
        return broker.start(folder.name, [sys.executable, *command], cwd=folder)

    # -- the contract---------------------------------------------------------------------------------------------
    def test_the_example_runs(self, broker: Harness) -> None:
        gateway = Gateway()
        gateway.start()
        try:
            broker.url = gateway.url
            broker.variables["BROKER_URL"] = url = f"redis://127.0.0.1:{self.port}/0"
            worker = self.begin(broker, self.folder, *(part.replace("URL", url) for part in self.worker))
            done = self.run(broker, self.folder, *self.producer)
            assert done.stdout == self.prints, done.stderr
            expected = wait_for(lambda: [r for r in gateway.records("") if r.kind == "succeeded"], "the task is reported", seconds=LONG_S)[
                0
            ]
            assert (expected.name, expected.queue, expected.rest["result"]) == self.expected
            assert [CODE.fullmatch(r.meta["code"]) for r in gateway.records(expected.task_id) if r.kind == "enqueued"] != [None]
            worker.send_signal(self.end)
            assert worker.wait(PATIENCE_S) == 0, broker.log(self.folder.name)
        finally:
            gateway.stop()

    def test_its_own_example_does_not_notice(self, broker: Harness, variant: str) -> None:
        bare = self._run_own(broker, "bare", "", variant)
        assert not broker.spool.exists()
        watched = self._run_own(broker, "watched", self.install, variant)
        assert watched == bare
        self.check_own(bare)
        assert broker.spool.exists(), "it was monitored"

    def _run_own(self, broker: Harness, name: str, install: str, variant: str) -> dict[str, Any]:
        folder = broker.folder / name
        folder.mkdir()
        for file, text in self.files.items():
            (folder / file).write_text(text.replace("INSTALL", install).replace("PORT", str(self.port)), "utf-8")
        return self.run_own(broker, folder, variant)
