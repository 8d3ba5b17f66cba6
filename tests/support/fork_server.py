# SPDX-License-Identifier: AGPL-3.0-or-later
"""A process of one environment that has imported its libraries and forks a child for each program that a test starts.

    python -m tests.support.fork_server SOCKET MODULE…

SOCKET is the inherited descriptor of a Unix socket that keeps the boundaries of messages. Each program is one message of JSON, with the
descriptors of its standard input, output and errors: `command` (the arguments of the interpreter: `-m MODULE WORDS…`, `-c CODE WORDS…` or
`FILE WORDS…`), `environment` (all of it) and `folder` (where it runs). The answers are `{"started": pid}`, and `{"ended": pid, "status":
wait status}` when it has ended. The process ends when the other end of the socket is closed and all its children have ended.

A child is a process of its own: a session, a process group, an environment, files, and an orderly end as of any Python process. Importing
libraries, which takes 0.3 to 1.2 s of a processor, is done once for all of them. The one visible difference is its command line in /proc.
It runs in every engine's environment, with the standard library only.
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
import socket
import sys
import time
import types
from typing import Any

LONGEST = 1 << 17
"""Bytes of a message."""
FILES = 3


def preload(name: str) -> None:
    """Imports a module. One that is not in this environment is left out."""
    with contextlib.suppress(ImportError):
        importlib.import_module(name)


def become(asked: dict[str, Any], files: list[int], libraries: list[str]) -> None:
    """In the child: what a new process has that a forked one has not."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, file in enumerate(files):
        os.dup2(file, target)
    os.closerange(FILES, 64)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    command = asked["command"]
    is_file = not command[0].startswith("-")
    first = os.path.dirname(os.path.abspath(command[0])) if is_file else os.getcwd()
    sys.path[:] = [first, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *libraries]
    sys.argv = command if is_file else [command[0], *command[2:]]
    sys.orig_argv[1:] = command
    if os.environ.get("PYTHONUNBUFFERED"):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    random.seed()


def execute(command: list[str]) -> None:
    """Runs what the interpreter would run."""
    if command[0] == "-m":
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if command[0] == "-c":
        exec(compile(command[1], "<string>", "exec"), main.__dict__)
        return
    main.__file__ = os.path.abspath(command[0])
    with open(command[0], "rb") as source:
        code = compile(source.read(), main.__file__, "exec")
    exec(code, main.__dict__)


def reap(parent: socket.socket) -> bool:
    """Reports the children that have ended. Whether any is left."""
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            parent.send(json.dumps({"ended": ended[0], "status": ended[1]}).encode())
    except ChildProcessError:
        return False
    return True


def serve(parent: socket.socket, libraries: list[str]) -> list[str]:
    """Returns in each child with the command that it has to run, and in the parent with an empty one at the end."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready, _, _ = select.select([parent.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            reap(parent)
        if parent.fileno() not in ready:
            continue
        received, files, _, _ = socket.recv_fds(parent, LONGEST, FILES)
        if not received:
            ends = time.monotonic() + 30
            with contextlib.suppress(OSError):  # nobody listens any more
                while reap(parent) and time.monotonic() < ends:
                    time.sleep(0.02)
            return []
        asked: dict[str, Any] = json.loads(received)
        pid = os.fork()
        if not pid:
            become(asked, files, libraries)
            command: list[str] = asked["command"]
            return command
        for file in files:
            os.close(file)
        parent.send(json.dumps({"started": pid}).encode())


def main() -> None:
    libraries = sys.path[1:]  # the first is the folder in which this process was started
    parent = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        preload(name)
    gc.collect()
    gc.freeze()  # else the collections at the end of each child touch, and so copy, all that was imported: 0.13 s each
    command = serve(parent, libraries)
    if command:
        parent.detach()  # closed already
        execute(command)


if __name__ == "__main__":
    main()
