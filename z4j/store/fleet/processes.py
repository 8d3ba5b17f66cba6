# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the processes that write records. A process token is `<boot>.<pid>`; its boot identifies worker, environment and release.

The fields of a boot are in its origin record (or its hello), are stored once and never change, so everything that is derived
from a process token stays the same.
"""

from __future__ import annotations

from typing import NamedTuple

from z4j.store.fleet import releases
from z4j.store.names import name_limits, names
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection
from z4j_agent.wire.redaction import RULES

SQL = sql.load("fleet/processes")
CACHE_LIMIT = 50_000


class Run(NamedTuple):
    """A run token taken apart, and what its boot says."""

    boot_id: int
    pid: int
    worker: str
    environment: str
    host: str = ""

    @property
    def clock(self) -> str:
        """Whose clock its times are by: the host's, and while that is unknown, the boot's own."""
        return self.host or (f"boot {self.boot_id}" if self.boot_id else "")


NO_RUN = Run(0, 0, "", "")


def split_process_token(token: str) -> tuple[str, int]:
    """Splits a process token into boot and process id. The process id is -1 for a token of another form, which is returned whole."""
    boot, _, pid = token.rpartition(".")
    if boot and len(pid) < 16 and pid.isdecimal() and str(int(pid)) == pid:
        return boot, int(pid)
    return token, -1


def process_of(db: Connection, app_id: int, token: str) -> Run:
    """Returns the process of a token. A boot that was never seen is recorded."""
    if not token:
        return NO_RUN
    runs = db.recall("runs")
    run: Run | None = runs.get((app_id, token))
    if run is None:
        boot, pid = split_process_token(token)
        row = db.execute(SQL["find_boot"], {"app_id": app_id, "boot": boot}).fetchone()
        if row is None:
            run = Run(_add(db, app_id, boot), pid, "", "")
        else:
            run = Run(row[0], pid, names.text_of(db, row[1]), names.text_of(db, row[2]), row[4])
        if len(runs) >= CACHE_LIMIT:
            runs.clear()
        runs[app_id, token] = run
    return run


def token_of(db: Connection, boot_id: int, pid: int) -> str:
    """Returns the process token exactly as it was received."""
    if not boot_id:
        return ""
    boots = db.recall("boots")
    boot: str | None = boots.get(boot_id)
    if boot is None:
        if len(boots) >= CACHE_LIMIT:
            boots.clear()
        boot = boots[boot_id] = db.execute(SQL["read_boot"], {"id": boot_id}).fetchone()[0]
    return f"{boot}.{pid}" if pid >= 0 else boot


def record_origin(
    db: Connection, app_id: int, boot: str, at: int, *,
    host: str, pid: int, role: str, worker: str, environment: str, release: str,
) -> int:  # fmt: skip
    """Records the process of a boot; a later record of the same boot changes nothing. Returns the row id of the boot."""
    row = db.execute(SQL["find_boot"], {"app_id": app_id, "boot": boot}).fetchone()
    id = _add(db, app_id, boot) if row is None else int(row[0])
    if row is None or not row[3]:
        environment_id = name_limits.intern(db, app_id, "environment", environment)
        release_id = name_limits.intern(db, app_id, "release", release)
        db.execute(
            SQL["fill_boot"],
            {
                "id": id, "at": at, "host": host, "pid": pid, "role": role,
                "worker_id": name_limits.intern(db, app_id, "worker", worker), "environment_id": environment_id, "release_id": release_id,
            },
        )  # fmt: skip
        releases.record_sight(db, app_id, environment_id, release_id, at)
        db.recall("runs").clear()
        name_limits.flush(db, app_id)
    return id


def note_redaction(db: Connection, app_id: int, boot: str, rules: int) -> None:
    """Remembers that a boot applies the redaction rules of this release. This is not stored: after a restart the agent reports it again,
    and until then its texts are redacted twice, which changes nothing."""
    known = db.recall("redacting boots")
    if rules >= RULES and len(known) < CACHE_LIMIT:
        known[app_id, boot] = True


def redacts(db: Connection, app_id: int, token: str) -> bool:
    """Whether the boot of a run token applies the rules of this release."""
    return (app_id, split_process_token(token)[0]) in db.recall("redacting boots")


def _add(db: Connection, app_id: int, boot: str) -> int:
    return int(db.execute(SQL["add_boot"], {"app_id": app_id, "boot": boot}).fetchone()[0])
