# SPDX-License-Identifier: Apache-2.0
"""The earlier path of `z4j_agent.contract.adapter`, kept for one release. Import its names from `z4j_agent`."""

from z4j_agent.contract.adapter import Adapter, Original, QueueInfo, RunningTask, TaskInfo, WaitingTask, WorkerInfo
from z4j_agent.contract.capabilities import Capability, Finding, Refused, Unsupported

__all__ = [
    "Adapter", "Capability", "Finding", "Original", "QueueInfo", "Refused", "RunningTask", "TaskInfo", "Unsupported", "WaitingTask",
    "WorkerInfo",
]  # fmt: skip
