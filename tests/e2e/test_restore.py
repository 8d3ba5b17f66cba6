# SPDX-License-Identifier: AGPL-3.0-or-later
"""A backup is restored under a connected agent and a signed-in browser: both remember rows that the restored log does not contain, and
everybody shows *restored*. The same file copied over the database by hand is an alarm for everybody."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.browserless import Person
from tests.support.stack import ROOT, SERVER_PYTHON, Stack, stack, wait_for

AGENT = "import logging, time, z4j_agent; logging.basicConfig(); z4j_agent.start().connect(); time.sleep(120)"


def kept_row(made: Stack) -> int:
    files = list(made.folder.glob("spool/**/audit_head"))
    return int(json.loads(files[0].read_text())["seq"]) if files else 0


def last_row(made: Stack) -> int:
    return int(made.rows("SELECT max(seq) FROM audit")[0][0])


def begin(made: Stack) -> tuple[Person, Path]:
    """An agent and a browser that have seen rows since the backup."""
    made.add_app()
    made.start_server()
    made.start("agent", [SERVER_PYTHON, "-c", AGENT])
    person = Person.sign_in(made)
    wait_for(lambda: kept_row(made) > 0, what="the agent keeps a checkpoint")
    backup = made.folder / "backup.db"
    made.command("backup", str(backup))
    made.command("user", "add", "bea", "--role", "viewer", "--password-stdin", stdin="a long enough passphrase\n")
    made.command("token", "create", "--app", "late")
    wait_for(lambda: kept_row(made) == last_row(made), what="the agent keeps the newest checkpoint")
    person.get("/changes/audit")
    return person, backup


def verify_offline(made: Stack) -> subprocess.CompletedProcess[str]:
    target = made.folder / "audit.jsonl"
    target.unlink(missing_ok=True)
    made.command("audit", "export", str(target))
    key = made.folder / "public.pem"
    key.write_text(made.command("audit", "key"))
    words = [SERVER_PYTHON, ROOT / "examples/audit/verify.py", target, key]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def fault_places(made: Stack) -> set[str]:
    return {row[0] for row in made.rows("SELECT place FROM fault")}


def logs_of(made: Stack) -> str:
    return "".join(path.read_text() for path in made.folder.glob("spool/**/*.log"))


def test_everybody_shows_a_restore_as_a_restore(tmp_path: Path) -> None:
    with stack(tmp_path) as made:
        _, backup = begin(made)
        abandoned, kept = last_row(made), kept_row(made)
        refused = made.run(SERVER_PYTHON, "z4j", "restore", str(backup), "--yes")
        assert (refused.returncode, "already running" in refused.stderr) == (9, True), refused
        made.children[0].end()

        said = made.command("restore", str(backup), "--yes")
        assert "bea" in said
        assert "late" in said
        assert last_row(made) < abandoned
        made.start_server()
        wait_for(lambda: list(made.folder.glob("spool/**/audit_head.restored")), what="the agent keeps what was abandoned", seconds=40)
        [evidence] = made.folder.glob("spool/**/audit_head.restored")
        assert json.loads(evidence.read_text())["seq"] == kept
        wait_for(lambda: "has restored a backup" in logs_of(made), what="the agent's log shows the restore")
        person = Person.sign_in(made, "cleo")
        wait_for(lambda: kept_row(made) == last_row(made), what="the agent follows the restored log")

        assert not made.rows("SELECT 1 FROM audit WHERE action = 'audit_head_missing'")
        assert "audit head" not in fault_places(made)
        assert not list(made.folder.glob("spool/**/audit_head.broken"))
        assert "altered" not in person.get("/settings/apps").text
        assert "records a restored backup" in made.command("audit", "verify")
        offline = verify_offline(made)
        assert (offline.returncode, "restored a backup, which abandoned" in offline.stdout) == (0, True), offline
        assert "could not be verified" not in (tmp_path / "server.log").read_text()

        # Later rows of the restored log are remembered like any other: the state of the restore, copied back, is an alarm.
        made.command("token", "create", "--app", "later")
        wait_for(lambda: kept_row(made) == last_row(made), what="the agent keeps rows after the restore")
        made.children[-1].end()
        shutil.copy(backup, made.data / "z4j.db")
        assert "ended with 10" in _error(made, "audit", "verify")


def test_the_browser_that_saw_abandoned_rows_raises_no_alarm(tmp_path: Path) -> None:
    with stack(tmp_path) as made:
        person, backup = begin(made)
        cookie = person.client.cookies.get("z4j_audit")
        made.children[0].end()
        made.command("restore", str(backup), "--yes")
        made.start_server()
        assert "/login" in str(person.get("/settings/apps").url)  # sessions end with a restore
        again = Person.sign_in(made, "cleo")
        for each in again.client.cookies.jar:
            if each.name == "z4j_audit":
                each.value = cookie
        assert again.get("/settings/apps").status_code == 200
        assert again.client.cookies.get("z4j_audit") != cookie, "it was accepted, and replaced by the newest one"
        assert not made.rows("SELECT 1 FROM audit WHERE action = 'audit_head_missing'")


def test_a_file_copied_over_the_database_still_alarms(tmp_path: Path) -> None:
    with stack(tmp_path) as made:
        _, backup = begin(made)
        made.children[0].end()
        for name in ("z4j.db-wal", "z4j.db-shm"):
            (made.data / name).unlink(missing_ok=True)
        shutil.copy(backup, made.data / "z4j.db")
        for name in ("audit.head", "audit.witnesses"):  # the attacker also removed the files beside the database that remember its rows
            (made.data / name).unlink()
        made.start_server()
        wait_for(lambda: made.rows("SELECT 1 FROM audit WHERE action = 'audit_head_missing'"), what="the agent's alarm", seconds=40)
        wait_for(lambda: list(made.folder.glob("spool/**/audit_head.broken")), what="the agent keeps what was altered")
        assert "ended with 10" in _error(made, "audit", "verify")
        assert verify_offline(made).returncode == 1


def _error(made: Stack, *words: str) -> str:
    with pytest.raises(AssertionError) as caught:
        made.command(*words)
    return str(caught.value)
