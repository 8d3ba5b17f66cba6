# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j demo`."""

from __future__ import annotations

import argparse
import dataclasses

from z4j.exceptions import BadInput
from z4j.settings import Settings

MOST_TASKS = 500_000


def demo(words: argparse.Namespace, settings: Settings) -> int:
    """Runs a demo on loopback until it is stopped. Raises BadInput for settings that a demo does not take."""
    if not settings.is_loopback:
        raise BadInput("`z4j demo` runs on loopback only. The demo was not started.", "For a real server, use `z4j serve`.")
    if settings.has_tls or settings.behind_proxy:
        raise BadInput("`z4j demo` serves loopback without TLS and without a proxy. The demo was not started.", "Use `z4j serve`.")
    if not 1_000 <= words.tasks <= MOST_TASKS:
        raise BadInput(f"--tasks must be a number from 1000 to {MOST_TASKS}. The demo was not started.")
    from z4j.demo.folder import DEFAULT  # what a demo needs is loaded only for a demo
    from z4j.demo.run import run_demo
    from z4j.demo.seed import Story

    if settings.data == Settings().data:  # neither --data nor Z4J_DATA
        settings = dataclasses.replace(settings, data=DEFAULT)
    return run_demo(settings, Story(tasks=words.tasks, seed=words.seed))
