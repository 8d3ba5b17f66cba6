# SPDX-License-Identifier: Apache-2.0
"""Loaded first in a spawned work horse. A horse inherits only the environment; RQ 3 passes it the worker's exception handlers by name,
so z4j's handler makes it import this module before the task's own module.
"""

from __future__ import annotations

from typing import Any

from z4j_rq.job_hooks.spawning import installers, parent_boot


def pass_on(job: Any, *_error: Any) -> bool:
    """An exception handler that passes every exception to the next one."""
    return True


if parent_boot():
    for install in installers:
        install()
