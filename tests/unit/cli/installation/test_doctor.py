# SPDX-License-Identifier: AGPL-3.0-or-later
"""What `z4j doctor` reports about backups and forwarding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import database
from z4j import clock
from z4j.cli.installation.doctor import _backups, _forwarding
from z4j.rules.backups import OLD_US
from z4j.rules.findings.server import LATE_US
from z4j.rules.forwarding.target import TargetRequest
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.backups.backup_results import RESULTS, BackupResult, BackupResults, folder_of, write_results
from z4j.store.forwarding import targets


def findings(folder: Path, *results: BackupResult, since: int = 1, **settings: int) -> list[tuple[str, str, str]]:
    backups = folder_of(folder)
    backups.mkdir(exist_ok=True)
    for each in results:
        if each.file:
            (backups / each.file).touch()
    write_results(folder, BackupResults(since, results))
    return [tuple(each) for each in _backups(Settings(data=folder, **settings))]  # type: ignore[arg-type, misc]


def test_a_good_backup_of_last_night_is_well(tmp_path: Path) -> None:
    [(state, what, _)] = findings(tmp_path, BackupResult(clock.now() - OLD_US // 4, "z4j-1.db"))
    assert (state, "verified at" in what) == ("ok", True)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ((BackupResult(clock.now() - OLD_US - 1, "z4j-1.db"),), "older than two days"),
        ((), "older than two days: never"),
        ((BackupResult(clock.now(), problem="the disk is full"), BackupResult(clock.now() - 9, "z4j-1.db")), "failed: the disk is full"),
    ],
)
def test_an_old_a_missing_and_a_failed_one_are_warnings(tmp_path: Path, results: tuple[BackupResult, ...], words: str) -> None:
    [(state, what, remedy)] = findings(tmp_path, *results)
    assert (state, words in what, bool(remedy)) == ("warn", True, True), what


def test_a_file_that_is_gone_does_not_count(tmp_path: Path) -> None:
    result = BackupResult(clock.now(), "z4j-1.db")
    assert findings(tmp_path, result)[0][0] == "ok"
    (folder_of(tmp_path) / result.file).unlink()
    [found] = _backups(Settings(data=tmp_path))
    assert (found.state, "older than two days" in found.what) == ("warn", True)


def test_before_the_first_night_and_without_backups_nothing_is_wrong(tmp_path: Path) -> None:
    assert list(_backups(Settings(data=tmp_path))) == []
    [(state, what, _)] = findings(tmp_path, since=clock.now())
    assert (state, "due at 03:00 UTC" in what) == ("ok", True)
    [(state, what, _)] = findings(tmp_path, backups_daily=0, backups_weekly=0)
    assert (state, "disabled" in what) == ("ok", True)


def test_damaged_results_are_a_warning(tmp_path: Path) -> None:
    findings(tmp_path)
    (folder_of(tmp_path) / RESULTS).write_text("{")
    [found] = _backups(Settings(data=tmp_path))
    assert (found.state, "sets it aside" in found.remedy) == ("warn", True)


def test_earlier_databases_are_counted(tmp_path: Path) -> None:
    for name in ("z4j.db.before-28-1", "z4j.db.before-restore-2"):
        (tmp_path / name).write_bytes(b"x" * 1_500_000)
    [(state, what, _), _] = findings(tmp_path, since=clock.now())
    assert (state, "2 files of earlier databases use 3 MB" in what) == ("ok", True)


@pytest.mark.anyio
async def test_a_target_that_has_lagged_for_ten_minutes_is_a_warning(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        assert await _forwarding(store) == [], "without a target there is nothing to say"
        request = TargetRequest("siem", "syslog", "tcp://127.0.0.1:9")
        made = {"shown": "tcp://127.0.0.1:9", "from_beginning": True, "is_enabled": True, "actor": "ada", "at": clock.now()}
        await store.write(lambda db: targets.put_target(db, None, request, **made))  # type: ignore[arg-type]
        [ok] = await _forwarding(store)
        assert (ok.state, ok.what) == ("ok", "Forwarding is up to date (1 targets).")
        old = clock.now() - LATE_US - 60_000_000
        await AuditLog(tmp_path).record(store, at=old, actor="ada", role="admin", action="sign_in", target="x")
        await store.write(lambda db: targets.note_failed(db, 1, "Connection refused", old, old))
        [late] = await _forwarding(store)
        assert late.state == "warn"
        assert late.what.startswith("Forwarding to siem lags: 1 row to send, the oldest is 11")
        assert late.what.endswith("Connection refused")
