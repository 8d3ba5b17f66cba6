# SPDX-License-Identifier: AGPL-3.0-or-later
"""Backups are made at night, verified, listed and thinned out; one that fails is reported and never costs another."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database import T, database
from z4j.background.nightly_backups import NightlyBackups
from z4j.rules.backups import DAY_US
from z4j.settings import Settings
from z4j.store.access import audit_checkpoints
from z4j.store.access.audit import AuditLog, list_audit
from z4j.store.backups.backup_results import RESULTS, folder_of, read_results
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
THREE = 3 * 3_600_000_000
NIGHT = T - (T - THREE) % DAY_US + DAY_US


def duty(store: Store, folder: Path, **settings: int) -> NightlyBackups:
    return NightlyBackups(store, lambda _: None, AuditLog(folder), dataclasses.replace(Settings(data=folder), **settings))  # type: ignore[arg-type]


async def test_a_night_makes_one_verified_backup_with_its_row(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path)
        assert await nightly.round(T) is None  # it begins to count here
        assert await nightly.round(NIGHT - 1) is None
        result = await nightly.round(NIGHT)
        assert result is not None
        assert (result.problem, result.head) == ("", 1)
        path = folder_of(tmp_path) / result.file
        assert (path.stat().st_size, path.stat().st_mode & 0o777) == (result.bytes, 0o600)
        assert audit_checkpoints.ends_with_backup(path)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT name FROM app").fetchall() == [("shop",)]
        assert read_results(tmp_path).results == (result,)
        assert await nightly.round(NIGHT + 60_000_000) is None
        [row] = await list_audit(store)
        assert (row.actor, row.action, row.target, row.outcome) == ("system", "backup", f"file:{result.file}", "done")
        assert sorted(each.name for each in folder_of(tmp_path).iterdir()) == sorted([RESULTS, result.file])


async def test_a_clock_set_forward_and_back_neither_stops_nor_repeats_them(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path)
        await nightly.round(T)
        assert await nightly.round(NIGHT + 365 * DAY_US) is not None
        first = await nightly.round(NIGHT)
        assert first is not None
        assert first.problem == ""
        assert await nightly.round(NIGHT + 60_000_000) is None
        assert await nightly.round(NIGHT + DAY_US) is not None
        assert len(read_results(tmp_path).until(NIGHT + DAY_US).results) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"since": null, "results": [{}]}', ""])
async def test_damaged_results_are_set_aside_and_written_again_from_the_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path)
        await nightly.round(T)
        good = await nightly.round(NIGHT)
        assert good is not None
        folder = folder_of(tmp_path)
        (folder / "my.db").write_text("mine")
        (folder / RESULTS).write_text(content)
        at = NIGHT + 60_000_000
        assert await nightly.round(at) is None, "not due, as before"
        assert "moved aside" in caplog.text
        assert (folder / f"{RESULTS}.damaged-{at}").read_text() == content
        known = read_results(tmp_path)
        [found] = known.results
        assert (found.file, found.bytes, found.at // 1_000_000) == (good.file, good.bytes, good.at // 1_000_000)
        assert known.last_good == found
        assert await nightly.round(NIGHT + DAY_US) is not None, "the next night is backed up"


async def test_old_ones_are_deleted_and_others_are_left_alone(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path, backups_daily=2, backups_weekly=0)
        await nightly.round(T)
        own = folder_of(tmp_path) / "my.db"
        own.write_text("mine")
        names = [result.file for night in range(4) if (result := await nightly.round(NIGHT + night * DAY_US))]
        assert sorted(path.name for path in folder_of(tmp_path).glob("*.db")) == sorted([*names[-2:], "my.db"])
        known = read_results(tmp_path)
        assert [each.is_deleted for each in known.results] == [False, False, True, True]
        (folder_of(tmp_path) / names[-1]).unlink()
        assert read_results(tmp_path).last_good == known.results[1]


async def test_a_failure_is_reported_and_deletes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path, backups_daily=1, backups_weekly=0)
        await nightly.round(T)
        good = await nightly.round(NIGHT)
        assert good is not None
        page = (await store.fetch_all("SELECT rootpage FROM sqlite_schema WHERE name = 'app'"))[0][0]
        await store.checkpoint()
        with (tmp_path / "z4j.db").open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        failed = await nightly.round(NIGHT + DAY_US)
        assert failed is not None
        assert "malformed" in failed.problem
        assert "the nightly backup failed" in caplog.text
        assert [path.name for path in folder_of(tmp_path).glob("*.db")] == [good.file]
        assert not list(folder_of(tmp_path).glob(".*"))
        known = read_results(tmp_path)
        assert (known.last_good, known.last_failed) == (good, failed)
        assert await nightly.round(NIGHT + DAY_US + 60_000_000) is None


async def test_a_disk_without_room_is_found_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path)
        await nightly.round(T)
        monkeypatch.setattr("z4j.store.sqlite.verified_copy.SPARE", 1 << 60)
        failed = await nightly.round(NIGHT)
        assert failed is not None
        assert "are free" in failed.problem
        assert [path.name for path in folder_of(tmp_path).iterdir()] == [RESULTS]


async def test_what_a_killed_backup_left_is_removed(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path)
        await nightly.round(T)
        left = [folder_of(tmp_path) / name for name in (".z4j-20260101T030000Z.db.scratch", ".z4j-20260101T030000Z.db.unverified.part")]
        for path in left:
            path.touch()
        assert await nightly.round(NIGHT) is not None
        assert not any(path.exists() for path in left)


async def test_none_are_made_if_none_are_kept(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        nightly = duty(store, tmp_path, backups_daily=0, backups_weekly=0)
        assert await nightly.round(T) is None
        assert not folder_of(tmp_path).exists()
