# SPDX-License-Identifier: Apache-2.0
"""Reports this application's tasks to z4j and executes the commands of operators.

Without `Z4J_URL` it does nothing. It never raises into the application, blocks it, or opens a port.

An application uses `configure`, `start` and `stop`, and in its tasks `annotate` and `progress`; an adapter imports every other name of
`__all__` from here, wherever it is defined.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from z4j_agent.capture.task_api import annotate, progress
from z4j_agent.lifecycle import configure, current, has, remove, start, stop

if TYPE_CHECKING:
    from z4j_agent.agent import Agent
    from z4j_agent.capture import hooks
    from z4j_agent.capture.guard import guard
    from z4j_agent.capture.log_lines import LogHandler
    from z4j_agent.contract.adapter import (
        Adapter,
        Original,
        QueueInfo,
        RunningTask,
        SeveralBrokers,
        SeveralTargets,
        TaskInfo,
        WaitingTask,
        WorkerInfo,
    )
    from z4j_agent.contract.capabilities import Capability, Finding, Refused, Unsupported
    from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, ScheduleSpec
    from z4j_agent.runtime.installation import Installation
    from z4j_agent.runtime.patching import Patches
    from z4j_agent.wire import cron, records

__all__ = [
    "Adapter", "Agent", "Capability", "Finding", "Installation", "LogHandler", "Original", "Override", "Patches", "QueueInfo",
    "Refused", "RunningTask", "ScheduleInfo", "ScheduleSpec", "Scheduler", "SeveralBrokers", "SeveralTargets", "TaskInfo",
    "Unsupported", "WaitingTask", "WorkerInfo", "annotate", "configure", "cron", "current", "guard", "has", "hooks", "progress", "records",
    "remove", "start", "stop",
]  # fmt: skip

_DEFINED_IN = {
    "agent": ("Agent",),
    "capture": ("hooks",),
    "capture.guard": ("guard",),
    "capture.log_lines": ("LogHandler",),
    "contract.adapter": (
        "Adapter",
        "Original",
        "QueueInfo",
        "RunningTask",
        "SeveralBrokers",
        "SeveralTargets",
        "TaskInfo",
        "WaitingTask",
        "WorkerInfo",
    ),
    "contract.capabilities": ("Capability", "Finding", "Refused", "Unsupported"),
    "contract.scheduler": ("Override", "ScheduleInfo", "ScheduleSpec", "Scheduler"),
    "runtime.installation": ("Installation",),
    "runtime.patching": ("Patches",),
    "wire": ("cron", "records"),
}
"""Module → the names it defines. They are imported when they are first used: an application that only calls `start` pays for none."""


def __getattr__(name: str) -> Any:
    """Imports what an adapter uses. Raises AttributeError for any other name."""
    for module, names in _DEFINED_IN.items():
        if name in names:
            package = import_module(f"z4j_agent.{module}")
            return getattr(package, name, None) or import_module(f"z4j_agent.{module}.{name}")
    raise AttributeError(f"module 'z4j_agent' has no attribute {name!r}")
