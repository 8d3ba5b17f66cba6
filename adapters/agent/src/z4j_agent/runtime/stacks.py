# SPDX-License-Identifier: Apache-2.0
"""Reads where a running task is: files, lines and names of functions, never a value. Of a process of its own through a small watcher.

In the process of the agent's thread, the frames of any thread and of any asyncio task can be read without touching them. A child that a
worker forked has no such thread. With `Z4J_STACKS=1` it starts one at its first task, which waits at a named pipe in the spool folder; it
costs nothing without a request, and uses no signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from z4j_agent.capture import current_run
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.display import shorten
from z4j_agent.capture.guard import faults, guard, let_through
from z4j_agent.contract.capabilities import Refused
from z4j_agent.runtime.native_threads import SLEEP, has_green_threads, start_native_thread, ticks
from z4j_agent.wire.redaction import redact_text

if TYPE_CHECKING:
    from z4j_agent.contract.adapter import Adapter
    from z4j_agent.settings import Settings

MAX_FRAMES: Final = 60
"""The innermost ones."""
MAX_LINE: Final = 300
PATIENCE_S: Final = 3.0
"""How long a child may take to answer."""
_TOKEN: Final = re.compile(r"[0-9a-z]{1,64}\.[0-9]{1,15}")
_watched: list[int] = []
"""The process that has a watcher."""


def why_not(settings: Settings, adapter: Adapter) -> str:
    """Returns the reason why this worker cannot report the stacks of its tasks, as a clause without a full stop; "" if it can."""
    if has_green_threads():
        return "greenlets share a thread, and their stacks cannot be read from outside"
    if adapter.runs_in_children() and not settings.are_children_watched:
        return "its tasks run in child processes, which report stacks only with Z4J_STACKS=1"
    return ""


def read(folder: Path | None, engine: str, task_id: str, token: str) -> dict[str, Any]:
    """Returns the stack of a running task: {"stack": lines ("file:line function"), the outermost first, "of": "thread" or "asyncio task"}.
    `token` is the process that runs it, `folder` the spool folder. Waits for a child at most PATIENCE_S seconds. Raises Refused."""
    found = _here()
    if folder is not None and _TOKEN.fullmatch(token) and token.rpartition(".")[2] != str(os.getpid()):
        found = _ask_child(folder, token) or found
    for run in found:
        if run["engine"] == engine and run["task_id"] == task_id:
            return {"stack": [shorten(redact_text(line), MAX_LINE) for line in run["stack"]], "of": run["of"]}
    raise Refused("the task is no longer running in this process, or has not begun, or its process cannot report its stack")


def _here() -> list[dict[str, Any]]:
    """The stacks of all tasks that run in this process."""
    frames = sys._current_frames()
    found = []
    for run in current_run.running():
        lines, of = _stack_of(run, frames)
        found.append({"engine": run.engine, "task_id": run.task_id, "stack": lines[-MAX_FRAMES:], "of": of})
    return found


def _stack_of(run: CurrentRun, frames: dict[int, FrameType]) -> tuple[list[str], str]:
    task = run.asyncio_task() if run.asyncio_task is not None else None
    if task is not None:
        chain = _awaited(task.get_coro())
        if chain and not any(getattr(each, name, False) for each in chain for name in ("cr_running", "gi_running", "ag_running")):
            return [line for each in chain if (line := _line_of_coroutine(each))], "asyncio task"
    frame: FrameType | None = frames.get(run.thread)
    lines = []
    while frame is not None:
        lines.append(_line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return lines[::-1], "thread"


def _awaited(coroutine: Any) -> list[Any]:
    """A coroutine and what it awaits, the outermost first."""
    chain: list[Any] = []
    while coroutine is not None and len(chain) < MAX_FRAMES:
        chain.append(coroutine)
        coroutine = next((value for name in ("cr_await", "gi_yieldfrom", "ag_await") if (value := getattr(coroutine, name, None))), None)
    return chain


def _line_of_coroutine(coroutine: Any) -> str:
    frame = next((value for name in ("cr_frame", "gi_frame", "ag_frame") if (value := getattr(coroutine, name, None))), None)
    if frame is None:
        return ""
    return _line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _line(file: str, line: int | None, function: str) -> str:
    return f"{file}:{line or 0} {function}"


# -- children --------------------------------------------------------------------------------------------------------------
@guard("stack watcher")
def begin(agent: Any, run: CurrentRun) -> None:
    """Starts the watcher of a child before its first run, in the thread of the run. Never raises."""
    if agent.is_worker_child and os.getpid() not in _watched:
        _watched[:] = [os.getpid()]
        folder, token = agent.shipper.folder, agent.run
        if folder is not None:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(_pipe(folder, token), 0o600)
            start_native_thread(lambda: _watch(folder, token))


@guard("stack watcher")
def end(run: CurrentRun) -> None:
    """Removes the pipe of a process that executes one run only. Never raises."""
    agent: Any = run.process
    if run.is_own_process and _watched == [os.getpid()] and (folder := agent.shipper.folder) is not None:
        _pipe(folder, run.run).unlink(missing_ok=True)


def _watch(folder: Path, token: str) -> None:
    """Answers requests for as long as the process lives. Opening the pipe waits for a request."""
    pipe = _pipe(folder, token)
    while pipe.exists():
        try:
            with pipe.open("rb") as request:
                asked = request.read(64)
            if asked.isalnum():
                _answer(folder, token, asked.decode("ascii"))
        except Exception as error:
            let_through(error)
            faults.report("stack watcher", error)
            return


def _answer(folder: Path, token: str, mark: str) -> None:
    path = folder / f"stack-{token}-{mark}.json"
    fresh = folder / f"stack-{token}-{mark}.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8") as file:
        json.dump(_here(), file)
    fresh.rename(path)


def _ask_child(folder: Path, token: str) -> list[dict[str, Any]]:
    """The stacks of a child; none where it has no watcher."""
    _sweep(folder)
    mark = os.urandom(8).hex()
    try:
        pipe = os.open(_pipe(folder, token), os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        os.write(pipe, mark.encode())
    finally:
        os.close(pipe)
    path, ends = folder / f"stack-{token}-{mark}.json", ticks() + PATIENCE_S
    while ticks() < ends:
        if path.exists():
            found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
            path.unlink(missing_ok=True)
            return found
        SLEEP(0.02)
    raise Refused("the child process that runs the task did not respond in time: it may be blocked in native code")


def _pipe(folder: Path, token: str) -> Path:
    return folder / f"stack-{token}.pipe"


def _sweep(folder: Path) -> None:
    """Removes the pipes of processes that have ended, and answers that were not read."""
    now = time.time()
    for path in folder.glob("stack-*"):
        with contextlib.suppress(OSError, ValueError):
            is_gone = path.suffix == ".pipe" and not _is_alive(int(path.stem.rpartition(".")[2]))
            if is_gone or (path.suffix != ".pipe" and now - path.stat().st_mtime > 60):
                path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
