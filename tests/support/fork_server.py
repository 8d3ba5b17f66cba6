# SPDX-License-Identifier: AGPL-3.0-or-later
"""A process of one environment that has imported its libraries and forks a child for each program that a test starts.

    python -m tests.support.fork_server MODULE…

Reads one line of JSON for each program: `module` and `words` as of `python -m MODULE WORDS`, `environment` (all of it), and the files
`stdin`, `output` and `errors`. Answers with one line `{"started": pid}` each, and with one line `{"ended": pid, "status": wait status}` for
each that has ended. Ends when its standard input is closed and all its children have ended.

A child is a process of its own: a session, a process group, an environment, files, and an order end as of any Python process. Only
importing libraries, which costs 0.5 to 1.2 s of a processor, is done once for all of them. It runs in every engine's environment, with the
standard library only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import sys
import time
from typing import Any


def preload(name: str) -> None:
    """Imports a module. One that is not in this environment is left out."""
    with contextlib.suppress(ImportError):
        importlib.import_module(name)


def answer(**fields: Any) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def become(asked: dict[str, Any]) -> None:
    """In the child: what a new process has that a forked one has not."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(asked["stdin"], os.O_RDONLY), 0)
    for target, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), target)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    sys.argv = [asked["module"], *asked["words"]]
    random.seed()


def reap() -> bool:
    """Reports the children that have ended. Whether any is left."""
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            answer(ended=ended[0], status=ended[1])
    except ChildProcessError:
        return False
    return True


def serve() -> dict[str, Any] | None:
    """Returns in each child with what it has to run, and in the parent with None at the end."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    pending = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            reap()
        if 0 not in ready:
            continue
        received = os.read(0, 1 << 20)
        if not received:
            ends = time.monotonic() + 30
            while reap() and time.monotonic() < ends:
                time.sleep(0.02)
            return None
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            asked: dict[str, Any] = json.loads(line)
            pid = os.fork()
            if not pid:
                become(asked)
                return asked
            answer(started=pid)


def main() -> None:
    for name in sys.argv[1:]:
        preload(name)
    gc.collect()
    gc.freeze()  # else the collections at the end of each child touch, and so copy, all that was imported: 0.13 s each
    if asked := serve():
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
