# SPDX-License-Identifier: Apache-2.0
"""Decides which commands of the server this application executes: by the owner's level and denied actions, then by known names and queues.

Authority comes from the application's owner (`Z4J_ALLOW`, `Z4J_DENIED`, what the application registered), never from a message. The server
may request, not decide: a name in its command must be registered here, or come with a proof that an agent of the same application made
(`originals.prove_name`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from z4j_agent.capture.originals import is_name_proved
from z4j_agent.contract.adapter import ACTION_LEVEL, Adapter, Refused
from z4j_agent.contract.scheduler import LEVEL as SCHEDULE_LEVEL
from z4j_agent.contract.scheduler import ScheduleInfo, Scheduler, ScheduleSpec
from z4j_agent.settings import LEVELS, SealKey, Settings

LONGEST_NAME: Final = 255


def why_not(settings: Settings, action: str) -> tuple[str, str] | None:
    """Why the owner's settings refuse the action, as (sentence, check), or None. The server cannot override it."""
    needed = ACTION_LEVEL.get(action) or SCHEDULE_LEVEL.get(action)
    if needed is None:
        return f"this agent does not support {action[:40]}", "action.unknown"
    if action in settings.denied:
        return f"the application denies {action} (Z4J_DENIED)", "owner.denied"
    if LEVELS.index(settings.allow) < LEVELS.index(needed):
        return f"the application allows only {settings.allow!r} (Z4J_ALLOW); {action} requires {needed!r}", "owner.level"
    return None


def is_permitted(settings: Settings, action: str) -> bool:
    """Whether the owner permits the action."""
    return why_not(settings, action) is None


def keys_of(settings: Settings) -> tuple[SealKey, ...]:
    """Returns the keys that may open what this application's agents closed, the present one first."""
    return (*((settings.seal_key,) if settings.seal_key else ()), *settings.old_keys)


def check_name(adapter: Adapter | None, engine: str, name: str, proofs: Any, settings: Settings) -> None:
    """Raises Refused unless this process has the task, or the proof of another agent of the application is valid.

    `adapter` is None where the engine has none in this process. `proofs` is what came with the command: an object of engine → proof."""
    if not name or len(name) > LONGEST_NAME:
        raise Refused("the command contains no task name", check="task.unknown")
    if adapter is not None and adapter.knows_task(name):
        return
    proof = proofs.get(engine) if isinstance(proofs, Mapping) else None
    if not is_name_proved(proof, engine, name, keys_of(settings)):
        raise Refused(
            f"this application has not registered or enqueued {name[:80]}. No task was run. Add it to install(functions=…), or let "
            "the application enqueue it once",
            check="task.unknown",
        )


def is_known(adapter: Adapter, kind: str, name: str) -> bool:
    """Whether a listed task or queue (`kind`: "tasks" or "queues") is one the server may name to another agent of the application.

    An engine's own queues (delayed messages, dead letters) are listed for display and are no destination. For an adapter without a rule of
    its own, every listed name is known.
    """
    own = type(adapter).knows_task if kind == "tasks" else type(adapter).knows_queue
    if own in (Adapter.knows_task, Adapter.knows_queue):
        return True
    return adapter.knows_task(name) if kind == "tasks" else adapter.knows_queue(name)


def check_queue(adapter: Adapter, queue: str, proof: Any, settings: Settings) -> None:
    """Raises Refused unless this process uses that queue, or the proof of another agent of the application is valid. `proof` is what came
    with the command, of any type."""
    is_known = 0 < len(queue) <= LONGEST_NAME and (
        adapter.knows_queue(queue) or is_name_proved(proof, queue_of(adapter.engine), queue, keys_of(settings))
    )
    if not is_known:
        raise Refused(f"this application does not use the queue {queue[:80] or '(no name)'}; no changes were made", check="queue.unknown")


def queue_of(engine: str) -> str:
    """Returns the engine's part in the proof of a queue. It differs from that of a task: the proof of a queue proves no task of that
    name."""
    return f"{engine} queue"


def check_spec(
    settings: Settings,
    scheduler: Scheduler,
    adapter: Adapter | None,
    spec: ScheduleSpec,
    before: ScheduleInfo | None,
    proofs: Any,
    queue_proof: Any = None,
) -> bool:
    """Checks which task a schedule of the server runs, and in which queue. Returns whether the schedule runs other work than before. Raises
    Refused.

    An owner who denies `run_task` also denies new schedules, and other tasks or arguments for existing ones: their fires would run the same
    tasks. `before` is the entry in its scheduler, None for a new one.
    """
    is_new_work = before is None or spec.task_name != before.task_name or spec.args is not None or spec.kwargs is not None
    if is_new_work and (objection := why_not(settings, "run_task")) is not None:
        raise Refused(f"{objection[0]}; a schedule may change its times, not what it runs", check=objection[1])
    if (before is None or spec.task_name != before.task_name) and not scheduler.knows_task(spec.task_name):
        check_name(adapter, scheduler.engine, spec.task_name, proofs, settings)
    if spec.queue and adapter is not None and (before is None or spec.queue != before.queue):
        check_queue(adapter, spec.queue, queue_proof, settings)
    return is_new_work
