# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starts and ends the processes of the demo's applications: this executable again, or `python -m z4j_demo`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final

from z4j.exceptions import Unsupported

AGAIN_S: Final = 5.0
"""After which a part that has ended is started again, as a service manager does: an operator may shut down a worker."""
RUNNING: Final = ("recorded", "warehouse", "crons")
GRACE_S: Final = 5.0
HISTORY: Final = "history"


class Processes:
    """The processes of one round. `logs` receives what they print."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._restart_ended, name="demo processes", daemon=True)

    def history(self) -> subprocess.Popen[bytes]:
        """Starts the process that writes the past to its standard output."""
        return self._start(HISTORY, subprocess.PIPE)

    def start(self) -> None:
        """Starts the engines and the recorded agents, and starts each again that ends."""
        for part in RUNNING:
            self._start(part, subprocess.DEVNULL)
        self._watch.start()

    def _restart_ended(self) -> None:
        while not self._is_over.wait(AGAIN_S):
            for part in RUNNING:
                if self.running[part].poll() is not None and not self._is_over.is_set():
                    _close(self.running[part].stdin)
                    self._start(part, subprocess.DEVNULL)

    def _start(self, part: str, output: int) -> subprocess.Popen[bytes]:
        with (self.folder / f"{part}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 -- words of this file
                [*_program(), part, str(self.folder.resolve())],
                stdin=subprocess.PIPE,  # closed by the kernel at our end, which ends the process
                stdout=output,
                stderr=log,
                env=_environment(self.folder.resolve()),
                start_new_session=True,  # Ctrl-C reaches this process, which ends the others
            )
        self.running[part] = process
        return process

    def stop(self) -> None:
        """Ends all of them, and waits until they have ended."""
        self._is_over.set()
        if self._watch.ident is not None:
            self._watch.join()
        for process in self.running.values():
            _close(process.stdin)
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process.stdout)
        self.running.clear()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _program() -> list[str]:
    return [sys.executable, "demo-worker"] if getattr(sys, "frozen", False) else [sys.executable, "-m", "z4j_demo"]


def _environment(folder: Path) -> dict[str, str]:
    """Without settings of z4j that the terminal has: those are of real agents."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("Z4J_")}
    return ours | {"Z4J_SPOOL": str(folder / "spool"), "Z4J_ALLOW": "all", "PYTHONUNBUFFERED": "1"}


def check_installed() -> None:
    """Raises Unsupported where the engines of the demo are not installed. Imports none of them."""
    from importlib.util import find_spec

    missing = [name for name in ("z4j_demo", "z4j_huey", "z4j_apscheduler", "huey", "apscheduler") if find_spec(name) is None]
    if missing:
        raise Unsupported(
            f"The demo requires packages that are not installed: {', '.join(missing)}. Nothing was started.",
            "Install them with `pip install 'z4j[demo]'`, or use the executable, which contains them.",
        )
