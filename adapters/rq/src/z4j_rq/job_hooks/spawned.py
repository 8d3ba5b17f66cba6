# SPDX-License-Identifier: Apache-2.0
"""What a spawned work horse loads first. It inherits nothing but the environment; RQ 3 hands it the worker's exception handlers by name,
so a handler of ours has this module imported there before the task's own are.
"""

from __future__ import annotations

from typing import Any

from z4j_rq.job_hooks.spawning import installers, parent_boot


def pass_on(job: Any, *_error: Any) -> bool:
    """An exception handler that leaves everything to the next."""
    return True


if parent_boot():
    for install in installers:
        install()
