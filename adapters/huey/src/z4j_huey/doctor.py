# SPDX-License-Identifier: Apache-2.0
"""The known traps of Huey, as far as this process can see whether it has fallen into them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from huey.serializer import Serializer, SignedSerializer

from z4j_agent.adapter import Finding

if TYPE_CHECKING:
    from z4j_huey.capture import Capture

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})


def findings(capture: Capture) -> list[Finding]:
    """What is amiss with this Huey object and, in a consumer, with how it runs."""
    return [*_of_object(capture.huey), *(_of_consumer(capture) if capture.consumer is not None else ())]


def _of_object(huey: Any) -> Iterator[Finding]:
    is_pickle = isinstance(huey.serializer, Serializer) and not isinstance(huey.serializer, SignedSerializer)
    if is_pickle and _is_open(huey.storage):
        yield Finding(
            "warning",
            "Messages are pickles, and this Redis asks for no password: whoever can reach it can run code in the workers.",
            "Give Redis a password, or use SignedSerializer.",
        )
    if huey.immediate:
        yield Finding("warning", "Immediate mode is on: tasks run in their caller.", "Turn it off where there are workers.")


def _of_consumer(capture: Capture) -> Iterator[Finding]:
    consumer, registry = capture.consumer, capture.huey._registry._registry
    timed = [name for name, task in registry.items() if getattr(task, "default_timeout", None)]
    if timed and consumer.worker_type == "thread":
        yield Finding(
            "warning",
            f"Worker threads ignore time limits, and these tasks have one: {', '.join(sorted(timed)[:5])}.",
            "Use worker processes (-k process) where a limit must hold.",
        )
    if consumer.periodic and capture.huey._registry._periodic_tasks:
        yield Finding(
            "warning",
            "This consumer enqueues periodic tasks: a second one that does so too makes every one of them run twice.",
            "Start all consumers but one with --no-periodic.",
        )
    yield Finding(
        "warning",
        "Huey does not acknowledge: the tasks of a killed worker are gone and are not run again.",
        "Retry them here; let them bear to be run twice.",
    )


def _is_open(storage: Any) -> bool:
    """Whether anyone who reaches this Redis can write pickles into it. Files and socket files have the rights of files."""
    pool = getattr(storage, "pool", None)
    kept = getattr(pool, "connection_kwargs", None)
    if kept is None:
        return False
    is_local = "path" in kept or str(kept.get("host") or "") in _LOCAL
    return not is_local and not kept.get("password") and not kept.get("credential_provider")
