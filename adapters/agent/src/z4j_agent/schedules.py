# SPDX-License-Identifier: Apache-2.0
"""The earlier path of `z4j_agent.contract.scheduler`, kept for one release. Import its names from `z4j_agent`."""

from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, ScheduleSpec

__all__ = ["Override", "ScheduleInfo", "ScheduleSpec", "Scheduler"]
