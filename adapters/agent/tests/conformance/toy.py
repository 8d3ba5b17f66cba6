# SPDX-License-Identifier: Apache-2.0
"""A task engine of one folder, with an adapter that can be broken on purpose: what the conformance suite is tested with.

A message is a file whose name begins with the moment it is due; a worker claims it by renaming it and forks a child that runs it.
`python toy.py worker` and `python toy.py producer`; $TOY is the folder, $TOY_BREAKS the defect.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import z4j_agent
from z4j_agent.capture import current_run
from z4j_agent.capture.guard import guard
from z4j_agent.capture.run_usage import used
from z4j_agent.contract.adapter import Adapter, Capability, Original, QueueInfo, Refused, RunningTask, TaskInfo, WorkerInfo
from z4j_agent.wire import records

FOLDER = Path(os.environ.get("TOY", "."))
BROKEN = os.environ.get("TOY_BREAKS", "")
QUEUE = "toys"
CHILDREN = 2
RUNNING: dict[str, tuple[int, dict[str, Any], int]] = {}
"""task id → (child's pid, message, started at)."""
STOPPED: set[str] = set()


def now() -> int:
    return time.time_ns() // (1_000_000_000 if BROKEN == "times_in_seconds" else 1000)


class TryAgain(Exception):
    """What a toy task raises to be run once more."""


# -- the tasks ---------------------------------------------------------------------------------------------------------
def succeed(value: Any) -> Any:
    return value


def fail(value: str) -> None:
    raise ValueError(value)


def retry() -> str:
    if MESSAGE["retries"] == 0:
        raise TryAgain from ConnectionError("mail host refused")
    return "second"


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def log(number: int, password: str) -> int:
    logging.getLogger("shop.orders").warning("charging order %s", number)
    logging.getLogger("shop.orders").error("password=%s", password)
    return number


def secret(user: str, password: str) -> dict[str, str]:
    return {"user": user, "password": password, "proof": hashlib.sha256(password.encode()).hexdigest()[:8]}


def spawn() -> str:
    return enqueue("succeed", ["child"], {}, parent="" if BROKEN == "forgets_parents" else MESSAGE["id"])


def note(order: int, password: str) -> int:
    z4j_agent.annotate(order=order, password=password)
    z4j_agent.progress(1, 2, "half")
    z4j_agent.progress(2, 2, "all")
    return order


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


TASKS: dict[str, Callable[..., Any]] = {task.__name__: task for task in (succeed, fail, retry, wait, log, secret, spawn, note, crash)}
NAMES: dict[str, tuple[str, ...]] = {"secret": ("user", "password"), "log": ("number", "password"), "note": ("order", "password")}
MESSAGE: dict[str, Any] = {}
"""In a child: the message it runs."""


# -- the engine --------------------------------------------------------------------------------------------------------
def publish(message: dict[str, Any], delay_s: float = 0) -> None:
    part = FOLDER / f"part-{message['id']}-{message['retries']}"
    part.write_text(json.dumps(message))
    part.rename(FOLDER / f"due-{time.time_ns() + int(delay_s * 1e9):020}-{message['id']}")


def enqueue(name: str, args: list[Any], kwargs: dict[str, Any], *, delay_s: float = 0, id: str = "", **facts: str) -> str:
    message = {"id": id or str(uuid.uuid4()), "name": name, "args": args, "kwargs": kwargs, "retries": 0}
    report_enqueued(message, {key: value for key, value in facts.items() if value}, delay_s)
    publish(message, delay_s)
    return str(message["id"])


def work() -> None:
    """Until SIGTERM, and a second more for what runs then."""
    is_over: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(time.time()))
    agent = z4j_agent.current()
    if agent is not None:
        agent.become_worker(f"toy-{os.getpid()}", "toy")
        agent.connect()
    print("ready", flush=True)
    while not is_over or (RUNNING and time.time() < is_over[0] + 1):
        reap()
        for path in sorted(FOLDER.glob("due-*")):
            if is_over or len(RUNNING) >= CHILDREN or int(path.name[4:24]) > time.time_ns():
                break
            begin(path)
        time.sleep(0.005)
    if BROKEN != "leaves_silently":
        z4j_agent.stop(2.0)
    os._exit(0)


def begin(path: Path) -> None:
    message = json.loads(path.read_text())
    path.unlink()
    report_received(message)
    if (FOLDER / f"cancelled-{message['id']}").exists() and BROKEN != "cancels_nothing":
        report(records.cancelled, message, reason="revoked")
        return
    pid = os.fork()
    if pid == 0:
        run(message)
    RUNNING[message["id"]] = (pid, message, time.time_ns() // 1000)


def run(message: dict[str, Any]) -> None:
    """In the child, which never returns."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    MESSAGE.update(message)
    at = now()
    if BROKEN != "forgets_starts":
        report(records.started, message, at=at)
    ran = {"started_at": at, "runtime": 0}
    agent = z4j_agent.current()
    if agent is not None and BROKEN != "forgets_the_current_run":
        head = (message["id"], message["retries"], at, message["name"], QUEUE)
        MESSAGE["run"] = current_run.begin(agent, "toy", *head)
    try:
        try:
            result = TASKS[message["name"]](*message["args"], **message["kwargs"])
        finally:
            current_run.end(MESSAGE.get("run"))
    except TryAgain as error:
        again = message | {"retries": message["retries"] + (BROKEN != "counts_no_attempts")}
        report_enqueued(again, {}, 0)
        report(records.retried, message, **ran, eta=None, reason="", **facts_of(error.__cause__ or error))
        publish(again)
    except Exception as error:
        if BROKEN == "calls_failures_successes":
            report(records.succeeded, message, **ran, received_at=None, result="")
        else:
            report(records.failed, message, **ran, received_at=None, reason="", **facts_of(error))
    else:
        report_result(message, ran, result)
    os._exit(0)


def facts_of(error: BaseException) -> dict[str, str]:
    text = "" if BROKEN == "has_no_tracebacks" else "".join(traceback.format_exception(error))
    return {"error_type": type(error).__name__, "error": str(error), "traceback": text}


def reap() -> None:
    for task_id, (pid, message, _) in list(RUNNING.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            continue
        del RUNNING[task_id]
        if os.WIFSIGNALED(status):
            if task_id in STOPPED:
                report(records.cancelled, message, pid=pid, reason="stopped")
            elif BROKEN != "misses_dead_children":
                report(records.lost, message, pid=pid, reason="child_killed")


# -- the adapter -------------------------------------------------------------------------------------------------------
@guard("toy record")
def report(kind: Callable[..., bytes], message: dict[str, Any], *, at: int = 0, pid: int = 0, **rest: Any) -> None:
    agent = z4j_agent.current()
    if agent is None:
        return
    run = f"{agent.boot}.{pid or os.getpid()}"
    if BROKEN == "names_main_as_runner":
        run = f"{agent.boot}.{os.getppid()}"
    agent.append(kind("toy", message["id"], message["retries"], at or now(), run, message["name"], QUEUE, **rest))


def report_enqueued(message: dict[str, Any], facts: dict[str, str], delay_s: float) -> None:
    agent = z4j_agent.current()
    if agent is None:
        return
    if BROKEN == "wastes_time":
        ends = time.process_time() + 0.005
        while time.process_time() < ends:
            pass
    meta = records.meta({"parent_id": facts.get("parent"), "retry_of": facts.get("retry_of")})
    report(records.enqueued, message, eta=now() + int(delay_s * 1_000_000) if delay_s else None, meta=meta)
    original = {"name": message["name"], "args": message["args"], "kwargs": message["kwargs"]}
    head = ("toy", message["id"], message["retries"])
    if BROKEN == "shows_secrets":
        text = json.dumps([message["args"], message["kwargs"]])
        agent.append(
            records.payload(
                *head, now(), agent.run, message["name"], QUEUE, rank=2, args=text, is_masked=False, original=None, original_state="none"
            )
        )
        return
    names = NAMES.get(message["name"], ())
    agent.append(agent.payload(*head, message["name"], QUEUE, 2, message["args"], message["kwargs"], original, names))


@guard("toy received")
def report_received(message: dict[str, Any]) -> None:
    report(records.received, message)


@guard("toy result")
def report_result(message: dict[str, Any], ran: dict[str, int], result: Any) -> None:
    agent = z4j_agent.current()
    if agent is not None:
        shown = json.dumps(result) if BROKEN == "shows_secret_results" else agent.show(result)
        report(records.succeeded, message, **ran, received_at=None, result=shown, usage=used(MESSAGE.get("run")))


class ToyAdapter(Adapter):
    """Honest unless $TOY_BREAKS says otherwise."""

    engine = "toy"
    capabilities = tuple(Capability(action, "worker", "exact") for action in ("retry_task", "cancel_task", "terminate_task"))

    def engine_version(self) -> str:
        return "1"

    def install(self) -> None:
        """The engine itself calls `report`."""

    def uninstall(self) -> None:
        """Nothing is hooked."""

    def list_tasks(self) -> list[TaskInfo]:
        return [TaskInfo(name, "(seconds)" if name == "wait" else "()") for name in TASKS]

    def list_queues(self) -> list[QueueInfo]:
        if BROKEN == "lists_no_queues":
            return []
        if BROKEN == "fails_inside":
            raise RuntimeError("the adapter has a bug")
        return [QueueInfo(QUEUE, len(list(FOLDER.glob("due-*"))))]

    def worker(self) -> WorkerInfo | None:
        agent = z4j_agent.current()
        return WorkerInfo(agent.worker, "fork", CHILDREN, (QUEUE,)) if agent is not None else None

    def list_running(self) -> list[RunningTask]:
        if BROKEN == "forgets_what_runs":
            return []
        return [RunningTask(id, m["retries"], m["name"], QUEUE, at, pid) for id, (pid, m, at) in list(RUNNING.items())]

    def retry_task(self, original: Original, *, new_id: str) -> dict[str, Any]:
        data = original.data
        link = "" if BROKEN == "links_no_retries" else original.task_id
        args = ["other"] if BROKEN == "retries_something_else" else data["args"]
        enqueue(data["name"], args, data["kwargs"], id=new_id, retry_of=link)
        return {"task_id": new_id, "queue": QUEUE}

    def cancel_task(self, task_id: str) -> dict[str, Any]:
        if task_id in RUNNING and BROKEN != "cancels_what_runs":
            raise Refused("it runs already")
        (FOLDER / f"cancelled-{task_id}").touch()
        return {}

    def terminate_task(self, task_id: str) -> dict[str, Any]:
        if task_id not in RUNNING:
            raise Refused("it does not run")
        STOPPED.add(task_id)
        if BROKEN != "stops_nothing":
            os.kill(RUNNING[task_id][0], signal.SIGTERM)
        return {}


def produce() -> None:
    for line in sys.stdin:
        name, args, kwargs, delay_s = json.loads(line)
        print(enqueue(name, args, kwargs, delay_s=delay_s), flush=True)
        agent = z4j_agent.current()
        if agent is not None:
            agent.connect()


if __name__ == "__main__":
    z4j_agent.start(ToyAdapter())
    work() if sys.argv[1] == "worker" else produce()
