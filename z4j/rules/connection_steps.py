# SPDX-License-Identifier: AGPL-3.0-or-later
"""How far the connection of an application is, step by step, and the likeliest reasons where a step does not come. Pure.

Times are microseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PATIENCE_US: Final = 60_000_000
"""How long a step may take before reasons are shown."""
DOCTOR: Final = "python -m z4j_agent doctor"

State = Literal["done", "waiting", "wrong"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the server knows of a connection string. `since` is when the string was made, `used_at` when an agent used it last, None if
    none did. `engines` are those that the connected agents watch; `answer` is the status of the newest command, "" without one."""

    since: int
    used_at: int | None = None
    connected: int = 0
    engines: frozenset[str] = frozenset()
    registered: int = 0
    first_task_at: int | None = None
    answer: str = ""
    answer_error: str = ""
    keys: frozenset[str] = frozenset()
    """IDs of the seal keys that connected agents have, "" for none."""
    app_key: str = ""
    allow: frozenset[str] = frozenset()
    is_retry_denied: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `reasons` are (what may be wrong, what to do)."""

    name: str
    state: State
    text: str
    reasons: tuple[tuple[str, str], ...] = ()


def steps(progress: Progress, engine: str, now: int) -> tuple[Step, ...]:
    """Returns all steps in their order. Reasons are given for the first one that is missing, after a minute."""
    found = [_connected(progress), _registered(progress), _reported(progress), _answered(progress), _retry(progress)]
    began = progress.since if not progress.used_at else progress.used_at
    is_late = now - began >= PATIENCE_US
    first = next((number for number, step in enumerate(found) if step.state != "done"), len(found))
    if first < len(found) and (is_late or found[first].state == "wrong"):
        step = found[first]
        found[first] = Step(step.name, step.state, step.text, step.reasons or REASONS[step.name](engine))
    return tuple(step if number <= first else Step(step.name, step.state, step.text) for number, step in enumerate(found))


def _connected(progress: Progress) -> Step:
    if progress.connected:
        engines = f", watching {', '.join(sorted(progress.engines))}" if progress.engines else ""
        count = f"{progress.connected} agents are" if progress.connected > 1 else "1 agent is"
        return Step("agent connected", "done", f"{count} connected{engines}")
    if progress.used_at is not None:
        return Step("agent connected", "done", "an agent connected and disconnected again")
    return Step("agent connected", "waiting", "waiting for an agent with this connection string")


def _registered(progress: Progress) -> Step:
    name = "tasks registered"
    if progress.registered:
        return Step(name, "done", f"{progress.registered:,} task name{'s' if progress.registered != 1 else ''}")
    return Step(name, "waiting", "waiting for a worker to report the tasks it has imported")


def _reported(progress: Progress) -> Step:
    name = "first task reported"
    if progress.first_task_at is not None:
        return Step(name, "done", "a task of this app was reported")
    return Step(name, "waiting", "waiting for the application to enqueue or run a task")


def _answered(progress: Progress) -> Step:
    name = "first command answered"
    if progress.answer == "done":
        return Step(name, "done", "an agent executed a command")
    if progress.answer in ("failed", "refused", "unsupported", "expired", "unknown"):
        return Step(name, "wrong", f"the command ended as {progress.answer}", ((progress.answer_error or "No reason was reported.", ""),))
    return Step(name, "waiting", "the command was sent" if progress.answer else "no command sent yet")


def _retry(progress: Progress) -> Step:
    name = "retry possible"
    if not progress.connected:
        return Step(name, "waiting", "shown once an agent is connected")
    others = progress.keys - {progress.app_key}
    if "" in progress.keys:
        return Step(name, "wrong", "an agent has no seal key", (
            ("The connection string was set without the part between the dot and the @.", "Set the complete connection string."),
        ))  # fmt: skip
    if progress.app_key and others:
        return Step(name, "wrong", f"an agent has the seal key {min(others)}, but the app has {progress.app_key}", (
            ("Originals sealed by one of them cannot be opened by the other.",
             "Use the key of the app's first connection string, and put the other one into Z4J_SEAL_KEYS."),
        ))  # fmt: skip
    if progress.is_retry_denied or progress.allow == {"read"}:
        return Step(name, "wrong", "the owner of the application does not permit it", (
            ("Z4J_ALLOW is set to “read”, or Z4J_DENIED contains retry_task.",
             "Change it where the application is started, if you are its owner."),
        ))  # fmt: skip
    return Step(name, "done", "the agents have the seal key of the app")


def _why_not_connected(engine: str) -> tuple[tuple[str, str], ...]:
    return (
        ("The application does not run with the connection string.", "Check Z4J_URL in the environment of the worker, and restart it."),
        ("The line of code is not executed, or z4j is not installed there.", f"Run {DOCTOR} with the environment of the application."),
        ("A firewall blocks the connection, or the name of this server cannot be resolved there.", f"{DOCTOR} reports the first problem."),
    )


def _why_not_registered(engine: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Only a producer is connected: a web process or a shell.", "Start a worker with the same connection string."),
        (f"The adapter of {engine} is not installed in the worker.", f"Run {DOCTOR} in the environment of the worker."),
    )


def _why_not_reported(engine: str) -> tuple[tuple[str, str], ...]:
    return (
        ("No task has been enqueued since then.", "Enqueue one, or run one with the button on the Tasks page."),
        ("The process that enqueues has no connection string, and the worker consumes another queue.", "The Queues page lists all queues."),
    )


def _why_not_answered(engine: str) -> tuple[tuple[str, str], ...]:
    return (("No agent accepts commands yet: commands require TLS or loopback.", "The Workers page shows what an agent can do."),)


def _why_not_retried(engine: str) -> tuple[tuple[str, str], ...]:
    return (("No agent is connected now.", "The Workers page shows when it disconnected."),)


REASONS: Final = {
    "agent connected": _why_not_connected,
    "tasks registered": _why_not_registered,
    "first task reported": _why_not_reported,
    "first command answered": _why_not_answered,
    "retry possible": _why_not_retried,
}
