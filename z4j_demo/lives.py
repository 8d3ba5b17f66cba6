# SPDX-License-Identifier: AGPL-3.0-or-later
"""The records of a task's life, as the agents of its producer and its worker send them."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any, NamedTuple
from uuid import UUID

from z4j_agent import wire
from z4j_agent.capture.originals import Binding, close_original
from z4j_agent.settings import SealKey
from z4j_demo.story import BAD, BAD_AGO, BAD_RELEASE, GOOD, HOUR, MINUTE, PRODUCTION, REAL, SECOND, SMTP, Failure, Kind, Worker


class Process(NamedTuple):
    """A worker between two deployments. Its records are those of `boot`."""

    worker: Worker
    boot: str
    release: str
    started_at: int

    def origin(self) -> bytes:
        """The record that introduces the process."""
        return wire.encode_record(
            ["origin", self.boot, self.started_at, {
                "host": self.worker.host, "pid": 7, "role": "worker", "worker": self.worker.name, "app": self.worker.app,
                "environment": self.worker.environment, "release": self.release, "redaction": 1 << 30,
            }]
        )  # fmt: skip


class Life(NamedTuple):
    """One task: what it is, and when it was sent, started and ended (microseconds UTC)."""

    kind: Kind
    process: Process
    task_id: str
    number: int
    at: int
    started_at: int
    runtime: int


def processes_of(worker: Worker, now: int, days: int) -> list[Process]:
    """The processes of a worker, oldest first; the last one is still connected."""
    releases = [(now - (days + 1) * 24 * HOUR, GOOD)]
    if worker.app == "shop" and worker.environment == PRODUCTION:
        releases += [(now - BAD_AGO[0], BAD), (now - BAD_AGO[1], GOOD)]
    return [Process(worker, boot_of(*worker[:4], str(number)), release, at) for number, (at, release) in enumerate(releases)]


def boot_of(*words: str) -> str:
    """The name of a process run, the same in every demo."""
    return hashlib.blake2s(" ".join(words).encode(), digest_size=8).hexdigest()


def process_at(processes: list[Process], at: int) -> Process:
    """The process that ran at a time."""
    return next(process for process in reversed(processes) if process.started_at <= at or process is processes[0])


def begin(rng: random.Random, kind: Kind, process: Process, at: int) -> Life:
    """A task that is sent `at`."""
    waited = int(rng.expovariate(1 / 400_000)) + 1_500
    runtime = int(kind.run_ms * 1_000 * (0.4 + rng.random() * 1.2)) + 900
    return Life(kind, process, new_id(rng), rng.randrange(10_000, 99_999), at, at + waited, runtime)


def new_id(rng: random.Random) -> str:
    """A task ID, a UUID as these engines make them."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def fails(rng: random.Random, life: Life, *, is_incident: bool = False) -> Failure | None:
    """How this task fails, or None. The bad release fails most charges; failures come in waves, and mail fails in an incident."""
    kind = life.kind
    if kind.name == "billing.charge" and life.process.release == BAD and rng.random() < 0.7:
        return BAD_RELEASE
    if kind.failure is None:
        return None
    wave = 8.0 if is_incident and kind.failure is SMTP else 6.0 if life.at // (7 * HOUR) % 11 == 0 else 0.7
    return kind.failure if rng.random() < kind.rate * wave else None


def sent(life: Life, key: SealKey | None, *, has_original: bool, eta: int | None = None, retry_of: str = "") -> list[bytes]:
    """The records of its producer."""
    kind = life.kind
    head = _head(life)
    meta: dict[str, Any] = {"route": kind.route} if kind.route else {}
    if retry_of:
        meta["retry_of"] = retry_of
    args = kind.args.replace("{number}", str(life.number))
    is_masked = "•••" in args
    original, state = _original(life, args, key) if has_original else (None, "none")
    return [
        wire.encode_record(["enqueued", *head(0, life.at), eta, meta or None]),
        wire.encode_record(["payload", *head(0, life.at), 2, args, is_masked, original, state]),
    ]


def _original(life: Life, args: str, key: SealKey | None) -> tuple[list[str | None] | None, str]:
    kind = life.kind
    if kind.engine != REAL:
        recorded = json.dumps({"name": kind.name, "queue": kind.queue, "args": args}, ensure_ascii=False)
        return [None, base64.b64encode(b"\0" + recorded.encode()).decode("ascii")], "plain"
    binding = Binding(REAL, life.task_id, life.process.worker.environment, kind.name, kind.queue)
    blob, state = close_original({"args": json.loads(args), "kwargs": {}}, binding, is_masked=False, key=key)
    return (None, state) if blob is None else ([blob[0], base64.b64encode(blob[1]).decode("ascii")], state)


class Recorded(NamedTuple):
    """What stands in the original of an engine that the demo does not run, instead of its message."""

    name: str
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]


def read_original(original: str) -> Recorded:
    """Reads an original of a recorded engine, as it was stored."""
    fields = json.loads(base64.b64decode(original)[1:])
    args, end = json.JSONDecoder().raw_decode(fields["args"])
    return Recorded(fields["name"], fields["queue"], args, json.loads(fields["args"][end:] or "{}"))


def started(life: Life, attempt: int = 0, at: int | None = None) -> bytes:
    """The record of its start."""
    return wire.encode_record(["started", *_head(life)(attempt, life.started_at if at is None else at), None])


def logged(life: Life) -> list[bytes]:
    """The records of what it logs when it starts."""
    module, _, function = life.kind.name.rpartition(".")
    lines = ((20, f"{function} {life.number} begins"), (20, f"connected to {module}-db-1 in 3 ms"))
    return [
        wire.encode_record(
            [
                "logged",
                *_head(life)(0, life.started_at + 2_000 * (seq + 1)),
                life.started_at,
                seq,
                level,
                f"{life.kind.app}.{module}",
                text,
                0,
            ]
        )
        for seq, (level, text) in enumerate(lines)
    ]


def stack(life: Life) -> list[str]:
    """Where it is while it runs, the innermost frame last: `file:line function`."""
    module, _, function = life.kind.name.rpartition(".")
    folder = f"/srv/{life.kind.app}/{module}"
    return [f"{folder}/tasks.py:41 {function}", f"{folder}/client.py:118 request", "/usr/lib/python3.13/socket.py:719 readinto"]


def succeeded(life: Life, attempt: int = 0, at: int | None = None, result: str | None = None) -> bytes:
    """The record of its success. `at`: when it started, if that was later than at first."""
    since = life.started_at if at is None else at
    shown = life.kind.result.replace("{number}", str(life.number)) if result is None else result
    return wire.encode_record(["succeeded", *_head(life)(attempt, since + life.runtime), since, since, life.runtime, shown, None])


def failed(life: Life, failure: Failure, attempt: int = 0, at: int | None = None) -> bytes:
    """The record of its last failure."""
    since = life.started_at if at is None else at
    why = _why(life, failure)
    return wire.encode_record(["failed", *_head(life)(attempt, since + life.runtime), since, since, life.runtime, None, *why, None])


def retried(life: Life, failure: Failure, eta: int, attempt: int = 0) -> bytes:
    """The record of a failure after which it is tried again at `eta`."""
    why = _why(life, failure)
    end = life.started_at + life.runtime
    return wire.encode_record(["retried", *_head(life)(attempt, end), life.started_at, life.runtime, eta, None, *why, None])


def _why(life: Life, failure: Failure) -> tuple[str, str, str]:
    error = failure.error.replace("{number}", str(life.number))
    module = life.kind.name.partition(".")[0]
    lines = ["Traceback (most recent call last):"]
    for file, line, function, code in (("tasks.py", 41, life.kind.name.rpartition(".")[2], "return run(*args)"), *failure.frames):
        lines += [
            f'  File "/srv/{life.kind.app}/{module if file == "tasks.py" else "lib"}/{file}", line {line}, in {function}',
            f"    {code}",
        ]
    return failure.type, error, "\n".join([*lines, f"{failure.type}: {error}", ""])


def _head(life: Life) -> Any:
    kind, run = life.kind, f"{life.process.boot}.7"
    return lambda attempt, at: (kind.engine, life.task_id, attempt, at, run, kind.name, kind.queue)


def whole(rng: random.Random, life: Life, key: SealKey | None, *, has_original: bool = True, is_incident: bool = False) -> list[bytes]:
    """The records of a task that has ended. The original of one that failed is kept as long as the task."""
    failure = fails(rng, life, is_incident=is_incident)
    records = sent(life, key, has_original=has_original or failure is not None)
    if failure is None:
        return [*records, succeeded(life)]
    if failure.type in ("ConnectionError", "TimeoutError") and rng.random() < 0.6:  # tried again, mostly with success
        again = life.started_at + life.runtime + 20 * SECOND
        records.append(retried(life, failure, again))
        return [*records, failed(life, failure, 1, again) if rng.random() < 0.35 else succeeded(life, 1, again)]
    return [*records, failed(life, failure)]


def is_over(life: Life, now: int) -> bool:
    """Whether it has ended well before `now`, with all its attempts."""
    return life.started_at + 2 * life.runtime + MINUTE < now
