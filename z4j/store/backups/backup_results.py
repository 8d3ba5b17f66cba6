# SPDX-License-Identifier: AGPL-3.0-or-later
"""Results of backups, in `backups/results.json` of the data folder: not in the database, because a restore would lose them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from z4j import files
from z4j.exceptions import StoreError

FOLDER: Final = "backups"
RESULTS: Final = "results.json"
NAME: Final = re.compile(r"z4j-\d{8}T\d{6}Z\.db")
KEPT: Final = 60
"""Results that are kept. Those of files that still exist are always kept."""


class ResultsDamaged(StoreError):
    """The file of the results cannot be read. The database is not affected."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """One backup. `at` is when it began (microseconds UTC). `file` is "" and `problem` says why if it failed. `head` is the row of the
    audit log that it ends with. `is_deleted`: its file was deleted, by retention or by a user."""

    at: int
    file: str = ""
    bytes: int = 0
    seconds: float = 0.0
    rows: int = 0
    head: int = 0
    problem: str = ""
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class BackupResults:
    """All results, newest first. Backups have been made since `since` (microseconds UTC), None if never."""

    since: int | None = None
    results: tuple[BackupResult, ...] = field(default=())

    def until(self, at: int) -> BackupResults:
        """Returns the results up to `at`, without those of a clock that was set back since."""
        return replace(self, results=tuple(each for each in self.results if each.at <= at))

    @property
    def last_good(self) -> BackupResult | None:
        """The newest verified backup whose file exists."""
        return next((each for each in self.results if not each.problem and not each.is_deleted), None)

    @property
    def last_failed(self) -> BackupResult | None:
        """The last attempt, if it failed."""
        return self.results[0] if self.results and self.results[0].problem else None


def folder_of(data: Path) -> Path:
    """Returns the folder of the backups."""
    return data / FOLDER


def read_results(data: Path) -> BackupResults:
    """Reads the results. Files that are gone are marked. Raises ResultsDamaged if the file is damaged."""
    path = folder_of(data) / RESULTS
    try:
        content = json.loads(path.read_bytes())
        found = [BackupResult(**each) for each in content["results"]]
        since = int(content["since"])
    except FileNotFoundError:
        return BackupResults()
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsDamaged(
            f"{path} is damaged: {error}.", "The server sets it aside and writes it again. The backups beside it are not affected."
        ) from error
    marked = [replace(each, is_deleted=not each.problem and not (folder_of(data) / each.file).exists()) for each in found]
    return BackupResults(since, tuple(sorted(marked, key=lambda each: -each.at)))


def rebuild_results(data: Path, at: int) -> Path:
    """Sets a damaged file aside, and writes a new one from the names of the backups that exist: a backup has its name only after it was
    verified. Their duration and rows are unknown. Returns where the damaged file is. Raises OSError."""
    path = folder_of(data) / RESULTS
    aside = path.with_name(f"{RESULTS}.damaged-{at}")
    path.rename(aside)
    found = [
        BackupResult(_time_of(file.name), file.name, file.stat().st_size) for file in folder_of(data).iterdir() if NAME.fullmatch(file.name)
    ]
    write_results(data, BackupResults(at, tuple(sorted(found, key=lambda each: -each.at))))
    return aside


def name_of(at: int) -> str:
    """Returns the name of the backup that began at `at` (microseconds UTC)."""
    return f"z4j-{datetime.fromtimestamp(at // 1_000_000, UTC):%Y%m%dT%H%M%SZ}.db"


def _time_of(name: str) -> int:
    return int(datetime.strptime(name, "z4j-%Y%m%dT%H%M%SZ.db").replace(tzinfo=UTC).timestamp()) * 1_000_000


def write_results(data: Path, results: BackupResults) -> None:
    """Replaces the results. Raises OSError."""
    kept = [each for number, each in enumerate(results.results) if number < KEPT or not (each.problem or each.is_deleted)]
    content = {"since": results.since, "results": [asdict(each) for each in kept]}
    files.write_whole(folder_of(data) / RESULTS, json.dumps(content, indent=1))
