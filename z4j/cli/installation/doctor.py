# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j doctor`: checks this installation, and prints a remedy for each problem."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from z4j import __version__, clock, resources
from z4j.appliance import server_address
from z4j.cli.common import https
from z4j.cli.common.offline import offline
from z4j.cli.common.output import say
from z4j.exceptions import StoreError, Z4jError
from z4j.listener import ports
from z4j.rules.audit.verification import Verdict
from z4j.rules.backups import OLD_US
from z4j.rules.findings.server import LITTLE_SPACE, find_forwarding
from z4j.settings import Settings
from z4j.store.backups.backup_results import read_results
from z4j.store.forwarding.targets import list_states
from z4j.store.sqlite.db import SQLITE_NAME, SQLITE_VERSION, Store
from z4j.store.sqlite.verified_copy import check_database
from z4j.store.tasks import bulk_deletion
from z4j.text import JsonObject, clean

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables came with 3.37."""
EARLIEST_NOW = 1_750_000_000
OVER = 1.02
"""Tolerated ratio to the limit: data that arrives between two rounds of retention."""


class Finding(NamedTuple):
    state: Literal["ok", "warn", "bad", "unknown"]
    what: str
    remedy: str = ""


def doctor(words: argparse.Namespace, settings: Settings) -> int:
    """Checks the installation and prints its findings. Returns 0 if nothing is bad."""
    findings = [
        *_machine(settings),
        *_data(settings),
        *_database(settings),
        *_backups(settings),
        *_certificate(settings),
        *_duties(settings),
        *asyncio.run(_contents(settings)),
    ]
    say(f"z4j {__version__}, SQLite {SQLITE_NAME}, data in {settings.data}")
    for finding in findings:
        say(f"{finding.state:<8}{finding.what}" + (f"\n        {finding.remedy}" if finding.remedy else ""))
    return 1 if any(finding.state == "bad" for finding in findings) else 0


def _machine(settings: Settings) -> Iterator[Finding]:
    if SQLITE_VERSION < OLDEST_SQLITE:
        yield Finding("bad", f"SQLite {SQLITE_NAME} is too old.", "Use the executable, or a Python with SQLite 3.37 or newer.")
    else:
        yield Finding("ok", "SQLite is new enough.")
    if time.time() < EARLIEST_NOW:
        yield Finding("bad", "The clock of this machine is years behind.", "Set the clock. Task times depend on it.")
    try:
        resources.root()
        yield Finding("ok", "Templates and static files are present.")
    except FileNotFoundError as error:
        yield Finding("bad", str(error), "Install z4j again.")


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data
    if not folder.is_dir():
        yield Finding("unknown", f"The data folder {folder} does not exist yet.", "`z4j serve` creates it.")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield Finding("bad", f"Other users can read {folder} (mode {mode:o}).", f"chmod 700 {folder}")
    else:
        yield Finding("ok", "Only its owner can read the data folder.")
    free = shutil.disk_usage(folder).free
    if free < LITTLE_SPACE:
        yield Finding(
            "warn", f"Only {free / 1e6:,.0f} MB are free on the disk of the data folder.", "Free some space, or lower --gigabytes-kept."
        )
    else:
        yield Finding("ok", f"{free / 1e9:,.1f} GB are free on the disk of the data folder.")


def _database(settings: Settings) -> Iterator[Finding]:
    """Checks the database file for damage, for a limited time."""
    if not settings.database.exists():
        return
    report = check_database(settings.database)
    if report.problems:
        more = "; ".join(clean(problem) for problem in report.problems[:3]) + (" …" if len(report.problems) > 3 else "")
        yield Finding(
            "bad",
            f"The database file is damaged: {more}. Data in the damaged part may be lost.",
            "Stop the server, copy the data folder, and restore the last backup. Check the disk and other programs that write to the file.",
        )
    elif report.is_complete:
        yield Finding("ok", "The database file is not damaged.")
    else:
        yield Finding(
            "unknown", f"The database file is too large to check within {report.seconds:.0f} s. No damage was found so far.",
            f"Check all of it with: sqlite3 {settings.database} 'PRAGMA quick_check'",
        )  # fmt: skip


def _backups(settings: Settings) -> Iterator[Finding]:
    """The copies that migrations and restores kept, and the nightly backups that the server makes."""
    kept = list(settings.data.glob(f"{settings.database.name}.before-*"))
    if kept:
        size = sum(path.stat().st_size for path in kept) / 1e6
        yield Finding(
            "ok", f"{len(kept)} files of earlier databases use {size:,.0f} MB: z4j.db.before-… Delete those that you do not need."
        )
    if not settings.has_backups:
        yield Finding("ok", "Nightly backups are disabled. Make your own with `z4j backup`.")
        return
    try:
        known = read_results(settings.data)
    except StoreError as error:
        yield Finding("warn", error.message, error.hint)
        return
    if known.since is None:
        return  # no server has run yet
    so_far = known.until(clock.now())
    good, failed = so_far.last_good, so_far.last_failed
    last = _when(good.at if good else None)
    if failed is not None:
        yield Finding("warn", f"The last nightly backup failed: {clean(failed.problem)}", f"Last successful backup: {last}.")
    elif clock.now() - (good.at if good else known.since) > OLD_US:
        remedy = "A running server makes a backup every night. Check that it is running, and its log."
        yield Finding("warn", f"The last successful backup is older than two days: {last}.", remedy)
    elif good is not None:
        yield Finding("ok", f"The last backup was made and verified at {last}.")
    else:
        yield Finding("ok", f"The first nightly backup is due at {settings.backup_at} UTC.")


def _certificate(settings: Settings) -> Iterator[Finding]:
    """How long the certificate is valid: of the settings, else of the server that runs or ran last."""
    serving = server_address.read_address(settings.data)
    file = settings.tls_cert or (serving.tls.certificate if serving and serving.tls else "")
    if not file:
        return
    from z4j.listener import certificates  # 30 ms, for those who use TLS
    from z4j.listener.tls import days_left, is_ending

    now = clock.now()
    try:
        found = certificates.read(Path(file))
    except StoreError as error:
        yield Finding("bad", error.message, error.hint)
        return
    days = days_left(found, now)
    is_own = Path(file) == certificates.server_file(settings.data).resolve()
    remedy = "Restart the server: it renews its own certificate." if is_own else "Replace the file. A running server reloads it."
    if days < 0:
        yield Finding("bad", f"The certificate {file} has expired. Clients that verify it cannot connect.", remedy)
    elif is_ending(found, now):
        yield Finding("warn", f"The certificate {file} expires in {days} days.", remedy)
    else:
        yield Finding("ok", f"The certificate is valid for {days} more days.")


def _duties(settings: Settings) -> Iterator[Finding]:
    """The background duties as the running server reports them."""
    serving = server_address.read_address(settings.data)
    if serving is None or not serving.is_running:
        who = ports.describe_holder(settings.port) if ports.holder_of(settings.port) else ""
        yield Finding("ok", "No server is running on this data folder." + (f" Port {settings.port} is in use by {who}." if who else ""))
        return
    url = f"{serving.local_url}/healthz"
    try:
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 -- an address of our own
        with https.open_own(request, serving.tls.certificate if serving.tls else None) as answer:
            health = json.load(answer)
    except urllib.error.HTTPError as error:
        health = _json_of(error)
    except (OSError, ValueError, StoreError) as error:
        yield Finding("bad", f"The server (process {serving.pid}) does not respond at {url}: {clean(str(error))}.", "Check its log.")
        return
    if health.get("database", "ok") != "ok":
        yield Finding("bad", f"The server cannot read the database: {clean(str(health['database']))}.", "Check its log.")
    bad = [duty for duty in health.get("duties", ()) if duty.get("state") in ("failing", "stalled")]
    for duty in bad:
        cause = f", {clean(str(duty['cause']))}" if duty.get("cause") else ""
        last = _when(duty.get("succeeded_at"))
        yield Finding(
            "bad", f"Background duty “{clean(str(duty['name']))}” is {duty['state']}{cause}. Last success: {last}.", "Check its log."
        )
    if not bad:
        yield Finding(
            "ok", f"The server responds at {serving.local_url}. All {len(health.get('duties', ()))} background duties are running."
        )
    if health.get("retention", "ok") != "ok":
        yield Finding("warn", "Retention limits are exceeded.", "See Settings, Appliance for the cause.")


def _json_of(error: urllib.error.HTTPError) -> JsonObject:
    try:
        health = json.load(error)
    except ValueError:
        health = {}
    return health if isinstance(health, dict) else {}


def _when(at: int | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


async def _contents(settings: Settings) -> list[Finding]:
    if not settings.database.exists():
        return []
    findings = []
    try:
        async with offline(settings, creates=False) as parts:
            findings += await _size(settings, parts.store)
            findings.append(_verdict(await parts.audit.verify(parts.store)))
            findings += await _forwarding(parts.store)
    except Z4jError as error:
        findings.append(Finding("bad", error.message, error.hint))
    return findings


async def _size(settings: Settings, store: Store) -> list[Finding]:
    used, _ = await bulk_deletion.read_size(store)
    limit = settings.gigabytes_kept * 1e9
    if used <= limit * OVER:
        return [Finding("ok", f"The database size is {used / 1e9:,.2f} GB; the limit is {settings.gigabytes_kept:g} GB.")]
    remedy = "See Settings, Appliance for what uses the space, and why it is not deleted."
    return [Finding("warn", f"The database size is {used / 1e9:,.2f} GB, above the limit of {settings.gigabytes_kept:g} GB.", remedy)]


async def _forwarding(store: Store) -> list[Finding]:
    """Whether each target has what it should have."""
    states = await list_states(store)
    late = find_forwarding(states, clock.now())
    found = [
        Finding(
            "warn", f"{clean(each.title)}: {clean(each.text)}. {clean(each.why)}", "See Settings, Forwarding, or `z4j forwarding list`."
        )
        for each in late
    ]
    if states and not late:
        found.append(Finding("ok", f"Forwarding is up to date ({len(states)} targets)."))
    return found


def _verdict(verdict: Verdict) -> Finding:
    if verdict.is_intact:
        return Finding("ok", f"The audit log is intact ({verdict.rows} rows).")
    remedy = "Compare it with a backup, and find out who had access to the data folder."
    return Finding("bad", f"The audit log is broken at row {verdict.broken_at}: {verdict.why}.", remedy)
