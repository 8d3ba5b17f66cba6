# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reports workers without heartbeats: one finding for each host. The state of their tasks is unknown, not failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from z4j.formats import duration, plural
from z4j.rules.findings.finding import Finding, Link, Scope, tasks_href, workers_href
from z4j.rules.findings.fleet.process import MINUTE_US, SECOND_US, Process, present

QUIET_US: Final = 45 * SECOND_US
"""Three heartbeats are missed."""
IDLE_US: Final = 60 * MINUTE_US
"""After this time workers that ran nothing are no longer reported: a host that was removed does not report its shutdown."""
NAMED: Final = 3


def find(processes: Sequence[Process], at: int) -> list[Finding]:
    """Returns a finding for each host with silent workers."""
    hosts: dict[tuple[Scope, str], list[Process]] = {}
    for process in present(processes):
        hosts.setdefault((process.scope, process.host), []).append(process)
    found = (_host(scope, host, workers, at) for (scope, host), workers in hosts.items())
    return [finding for finding in found if finding is not None]


def is_silent(process: Process, at: int) -> bool:
    """Whether the process missed three heartbeats and did not report its shutdown."""
    return not process.is_connected and not process.is_orderly and at - process.seen_at >= QUIET_US


def _host(scope: Scope, host: str, workers: Sequence[Process], at: int) -> Finding | None:
    silent = [process for process in workers if is_silent(process, at)]
    held = sum(process.last_running for process in silent)
    if not held:
        silent = [process for process in silent if at - process.seen_at < IDLE_US]
    if not silent:
        return None
    heard_at = max(process.seen_at for process in silent)
    connected = sum(process.is_connected for process in workers)
    names = sorted(process.worker for process in silent)
    listed = ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
    tasks = f"{plural(held, 'running task')} were last seen there" if held != 1 else "1 running task was last seen there"
    others = f"; {plural(connected, 'other worker')} on the host connected" if connected else ""
    return Finding(
        kind="silent_host", subject=host, level="blind", weight=min(300 + 20 * len(silent) + 5 * held, 900),
        title=f"No heartbeat from {host}" if not connected else f"No heartbeat from {plural(len(silent), 'worker')} on {host}",
        text=f"for {duration(at - heard_at)}: {plural(len(silent), 'worker')} and {tasks}. The state of the tasks is unknown, not failed",
        why=f"{listed} sent no heartbeat and did not report a shutdown" + others,
        scope=scope, since=heard_at,
        action=Link("Open the workers", workers_href(scope)),
        evidence=(
            (Link("running tasks", tasks_href(scope, worker=names[0], state=("running",))),) if len(names) == 1 and held else ()
        ),
    )  # fmt: skip
