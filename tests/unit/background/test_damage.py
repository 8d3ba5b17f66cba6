# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole server on a file that is really damaged, and without descriptors: everything else goes on, it is said, and the stop works."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.damage import no_descriptors, overwrite
from tests.support.database import T, life, origin, task
from tests.support.site import Site, site
from tests.support.stack import wait_for
from z4j import cli
from z4j.agents.ingest import ingest_batch
from z4j.duty_loop import Duty
from z4j.store.sqlite.verified_copy import check_database
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app
from z4j_agent import wire


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    caplog.set_level(logging.INFO, "z4j")


def take(made: Site, *records: list[Any], at: int = T) -> None:
    made.call(ingest_batch, made.server.store, 1, b"".join(map(wire.encode_record, records)), at=at)


def duty(made: Site, name: str) -> Duty:
    return next(of for of in made.server.duties.all() if of.name == name)


def health(made: Site) -> dict[str, Any]:
    answer = made.client.get("/healthz", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def have_all_run(made: Site, but: set[str]) -> Callable[[], bool]:
    before = {of.name: of.succeeded_at for of in made.server.duties.all()}
    often = {of.name for of in made.server.duties.all() if of.every_s <= 5} - but
    return lambda: all(duty(made, name).succeeded_at != before[name] for name in often)


def lines_of(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [
        record.getMessage() for record in caplog.records
        if "background duty failed" in record.getMessage() and getattr(record, "facts", {}).get("duty") == name
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a person and some tasks, everything written into the database itself."""
    with site(tmp_path) as made:
        made.add_user("ada", "admin")
        made.call(connect_app, made.server.store, "shop", "h", "test")
        for first in range(0, 600, 100):
            take(made, *(record for number in range(first, first + 100) for record in life(f"t{number}", T + number)))
        take(made, *(task("enqueued", f"s{number}", T, T + 99) for number in range(50)))
    with closing(sqlite3.connect(tmp_path / "z4j.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path


def test_a_damaged_index_page_ends_no_duty_but_the_one_that_needs_it(
    folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert overwrite(folder / "z4j.db", "task_due") >= 1
    with site(folder) as made:
        wait_for(lambda: duty(made, "due tasks").failures >= 2, seconds=30, what="the duty fails")
        assert duty(made, "due tasks").cause == "database_damaged"
        wait_for(have_all_run(made, {"due tasks"}), seconds=30, what="the others have all run again")
        assert len(lines_of(caplog, "due tasks")) == 1, "logged once, not once a second"
        # What does not need that page works: agents are listened to, people sign in and look.
        take(made, origin(), *life("new", T), at=T + 9)
        assert made.sign_in().status_code == 303
        assert made.get("/tasks").status_code == 200
        found = health(made)
        assert found["status"] == "degraded"
        [bad] = [of for of in found["duties"] if of["state"] == "failing"]
        assert (bad["name"], bad["cause"]) == ("due tasks", "database_damaged")
        assert str(folder) not in str(found)
        assert "due tasks: failing" in made.client.get("/healthz").text
        ends = time.monotonic()
    assert time.monotonic() - ends < 10, "and the stop works"
    assert cli.main(["doctor", "--data", str(folder), "--port", "1"]) == 1
    said = capsys.readouterr().out
    assert "The database file is damaged" in said
    assert "nothing was lost" not in said.lower()


def test_a_damaged_table_page_is_said_on_the_page_that_needs_it(folder: Path) -> None:
    assert overwrite(folder / "z4j.db", "task") > 1
    with site(folder) as made:
        assert made.sign_in().status_code == 303
        answer = made.get("/tasks")
        assert answer.status_code == 503
        assert "The database file is damaged" in answer.text
        assert "lost" not in answer.text.lower()
        assert made.get("/settings/users").status_code == 200
        wait_for(
            have_all_run(made, {"due tasks", "lost tasks", "retention", "index of words"}),
            seconds=30,
            what="those that read no task have run",
        )


def test_a_damaged_audit_log_keeps_the_server_from_nothing(folder: Path) -> None:
    assert overwrite(folder / "z4j.db", "audit", "audit_head") >= 1
    with site(folder) as made:
        assert made.sign_in().status_code == 303, "the audit row cannot be written and stands in the log instead"
        assert made.get("/tasks").status_code == 200
        take(made, *life("new", T), at=T + 9)
        audit = {"audit checkpoint", "check of the audit log"}
        wait_for(have_all_run(made, audit), seconds=30, what="every frequent duty ran but those of the audit log")


def test_without_descriptors_for_a_while_everything_goes_on_afterwards(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with site(folder) as made:
        made.sign_in()
        made.get("/tasks")
        wait_for(have_all_run(made, set()), seconds=30, what="every frequent duty ran")
        made.server.background.database_checkpoint._checkpoint_at = 0
        with no_descriptors():
            wait_for(lambda: duty(made, "checkpoint of the database").failures >= 2, seconds=30, what="a duty that opens a file fails")
            assert duty(made, "checkpoint of the database").cause in ("database_unavailable", "no_file_descriptors")
            assert made.get("/tasks").status_code == 200
            take(made, *life("meanwhile", T), at=T + 9)
        wait_for(have_all_run(made, set()), seconds=60, what="all of them ran again")
        wait_for(lambda: health(made)["status"] == "ok", seconds=60, what="the seldom ones ran again, too")
        assert len(lines_of(caplog, "checkpoint of the database")) == 1
        assert "background duty recovered" in caplog.text


def test_a_check_says_what_is_damaged_and_stops_in_time(folder: Path) -> None:
    path = folder / "z4j.db"
    assert check_database(path).problems == ()
    assert check_database(path).is_complete
    assert not check_database(path, seconds=-1).is_complete
    overwrite(path, "task_state")
    found = check_database(path)
    assert found.is_complete
    assert found.problems
    path.write_bytes(b"dear database, " * 1_000)
    assert check_database(path).problems == ("file is not a database",)
