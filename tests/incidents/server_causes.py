# SPDX-License-Identifier: AGPL-3.0-or-later
"""The causes of findings about the server itself, and of what the thresholds of rules measure."""

from __future__ import annotations

import subprocess
from collections import namedtuple
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.incidents.causes import App, backlog, dead_letters, failing_more
from z4j.duty_loop import Duties
from z4j.listener.tls import ServerTls
from z4j.operations.findings.server import ServerFindings
from z4j.rules.alerts.threshold_measures import Threshold
from z4j.rules.forwarding.target import TargetRequest
from z4j.rules.plans import NO_AGENT, STOPPED
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.backups.backup_results import BackupResult, BackupResults, folder_of, write_results
from z4j.store.forwarding import targets
from z4j.store.operations import plans
from z4j.store.sqlite.db import Connection, Store

Usage = namedtuple("Usage", "total used free")


@dataclass
class ThisServer:
    """The state of a server that a test can worsen: its files, certificate, duties, log and plans. `at` is the time of the look."""

    store: Store
    folder: Path
    log: AuditLog
    at: int
    free: int = 10**12
    """What the operating system reports of the disk."""
    why_not_held: str = ""
    duties: Duties = field(default_factory=Duties)
    plans: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder_of(self.folder).mkdir(exist_ok=True)
        write_results(self.folder, BackupResults(self.at, (BackupResult(self.at),)))
        certificate, key = self.make_certificate(300)
        self.settings = Settings(data=self.folder, tls_cert=certificate, tls_key=key)
        self.tls = ServerTls(self.settings, self.at)
        self.duty = self.duties.add("retention", 1_000_000)
        self.duty.succeeded()
        self.findings = ServerFindings(self.settings, self.duties, self.log, self.tls, lambda: self.why_not_held)

    def disk_usage(self, path: Any) -> Usage:
        """As `shutil.disk_usage` returns it."""
        return Usage(10**12, 10**12 - self.free, self.free)

    def make_certificate(self, days: int) -> tuple[str, str]:
        certificate, key = str(self.folder / "given.crt"), str(self.folder / "given.key")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=given"]
        subprocess.run([*command, "-keyout", key, "-out", certificate, "-days", str(days)], check=True, capture_output=True)
        return certificate, key

    def write(self, work: Callable[[Connection], Any]) -> Awaitable[Any]:
        return self.store.write(work)

    async def add_plan(self, kind: str) -> None:
        fields: dict[str, Any] = {
            "key": kind, "action": "retry_task", "params": "{}", "source": "s", "author": "ann", "reason": "", "undo_of": "", "at": self.at,
        }  # fmt: skip
        id = self.plans[kind] = await self.write(partial(plans.add_plan, **fields))
        await self.write(partial(plans.freeze_plan, id=id, groups=[], digest="d", items=3, excluded="{}", samples="[]", load_us=None))
        await self.change_plan(kind, "running", "frozen", started_at=self.at)

    async def change_plan(self, kind: str, status: str, was: str, **more: Any) -> None:
        await self.write(lambda db: plans.change_plan(db, self.plans[kind], status, [was], **more))


async def disk(server: ThisServer, on: bool) -> None:
    server.free = 5 * 10**8 if on else 10**12


async def certificate(server: ThisServer, on: bool) -> None:
    """It is replaced only days before its end."""
    server.make_certificate(10 if on else 300)
    await server.tls.check(server.at)


async def backup(server: ThisServer, on: bool) -> None:
    result = BackupResult(server.at, problem="disk full" if on else "")
    write_results(server.folder, BackupResults(server.at, (result,)))


async def retention(server: ThisServer, on: bool) -> None:
    server.why_not_held = "the tasks of two days take 3 GB" if on else ""


async def duty(server: ThisServer, on: bool) -> None:
    if on:
        server.duty.failed(OSError("disk"))
    else:
        server.duty.succeeded()


async def forwarding(server: ThisServer, on: bool) -> None:
    """A target that takes nothing, and then everything."""
    if on:
        request = TargetRequest("siem", "json", "tcp://127.0.0.1:9", has_alerts=False)
        made: dict[str, Any] = {"shown": "tcp://127.0.0.1:9", "from_beginning": True, "is_enabled": True, "actor": "ann", "at": server.at}
        await server.write(partial(targets.put_target, id=None, request=request, **made))
        return
    [target] = await targets.list_targets(server.store)
    ends = await targets.read_ends(server.store)
    await server.write(partial(targets.move_cursor, target=target, audit=ends.audit, alerts=ends.alerts, sent=1, at=server.at))


async def audit_alarm(server: ThisServer, on: bool) -> None:
    """Somebody changes a row of the log, and puts it back."""
    words = "UPDATE audit SET actor = ? WHERE seq = 1", ("mallory" if on else "ann",)
    await server.write(lambda db: db.execute(*words).rowcount)
    await server.log.check(server.store, server.at)


async def stopped_plan(server: ThisServer, on: bool) -> None:
    if on:
        await server.add_plan("stopped")
        await server.change_plan("stopped", "paused", "running", note=f"{STOPPED}3 of 3 failed; the limit is 5 %.")
    else:
        await server.change_plan("stopped", "aborted", "paused")


async def stalled_plan(server: ThisServer, on: bool) -> None:
    if on:
        await server.add_plan("stalled")
        await server.change_plan("stalled", "running", "running", note=NO_AGENT)
    else:
        await server.change_plan("stalled", "done", "running")


SERVER_CAUSES: Final[dict[str, Callable[[ThisServer, bool], Awaitable[None]]]] = {
    "disk": disk, "certificate": certificate, "backup": backup, "retention": retention, "duty": duty, "forwarding": forwarding,
    "audit_alarm": audit_alarm, "stopped_plan": stopped_plan, "stalled_plan": stalled_plan,
}  # fmt: skip


# -- thresholds ------------------------------------------------------------------------------------------------------------
async def slow_runs(app: App) -> None:
    await app.run(10, ms=5_000 if app.is_on else 200)


async def stopped(app: App) -> None:
    if not app.is_on:
        await app.run(5)


async def late_starts(app: App) -> None:
    await app.run(20, waited_s=15 if app.is_on else 1)


THRESHOLD_CAUSES: Final[dict[str, tuple[Threshold, Callable[[App], Awaitable[None]]]]] = {
    "failure_share": (Threshold("failure_share", 0.2), failing_more), "failures": (Threshold("failures", 10), failing_more),
    "slow": (Threshold("slow", 2.0), slow_runs), "absent": (Threshold("absent", 240), stopped), "depth": (Threshold("depth", 200), backlog),
    "oldest": (Threshold("oldest", 90), backlog), "drain": (Threshold("drain", 1_800), backlog),
    "dead": (Threshold("dead", 5), dead_letters),
    "slow_starts": (Threshold("slow_starts", 0.05, within_s=5.0), late_starts),
}  # fmt: skip
"""By the measure of the rule."""
