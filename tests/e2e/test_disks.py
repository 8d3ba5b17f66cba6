# SPDX-License-Identifier: AGPL-3.0-or-later
"""A disk that is full, and one that can only be read: file systems of their own, mounted by the test. Requires root."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.browserless import Person
from tests.support.stack import SERVER_PYTHON, Stack, stack, wait_for
from tests.support.witness import disagreements, expected_states

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stack]:
    """A stack whose data folder is a file system of 24 MB."""
    made = Stack(tmp_path)
    made.data.mkdir()
    mount("-t", "tmpfs", "-o", "size=24m,mode=0700", "z4j-test", made.data)
    try:
        with stack(tmp_path) as running:
            running.start_broker()
            running.command("migrate")
            running.add_app()
            running.start_server()
            yield running
    finally:
        subprocess.run(["umount", "--lazy", made.data], check=True)


def mount(*words: str | Path) -> None:
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr} (this test needs root)"


def fill(folder: Path, spare: int) -> Path:
    """A file that leaves so many bytes free."""
    filler = folder / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, b"\0" * 4096)
        os.ftruncate(fd, os.fstat(fd).st_size - spare)
    finally:
        os.close(fd)
    return filler


def test_on_a_full_disk_agents_keep_their_events_and_the_server_takes_them_once_there_is_room(shop: Stack) -> None:
    person = Person.sign_in(shop)
    shop.start_worker()
    first = shop.produce("shop.ship", 20, "[1]")
    wait_for(lambda: set(first) <= set(shop.states()), what="the first tasks are there")
    filler = fill(shop.data, spare=0)
    sent = shop.produce("mix", 300)
    wait_for(lambda: set(sent) <= set(expected_states(shop)), seconds=60, what="the application runs its tasks")
    wait_for(lambda: "full" in shop.children[1].log.read_text(), what="the log says that the disk is full")
    assert not set(sent) <= set(shop.states()), "there was no room for them"
    assert person.get("/tasks").status_code == 200, "pages can still be read"
    assert httpx2.get(f"{shop.address}/healthz", timeout=60).status_code == 200
    filler.unlink()
    wait_for(lambda: set(sent) <= set(shop.states()), seconds=60, what="the server takes them in")
    wait_for(lambda: not disagreements(shop), seconds=60, what="nothing is missing")
    assert shop.rows("PRAGMA integrity_check") == [("ok",)]
    assert shop.rows("SELECT coalesce(sum(events), 0) FROM gap") == [(0,)]


def test_a_disk_that_can_only_be_read(shop: Stack) -> None:
    person = Person.sign_in(shop)
    shop.start_worker()
    sent = shop.produce("shop.ship", 20, "[1]")
    wait_for(lambda: set(sent) <= set(shop.states()), what="the tasks are there")
    shop.children[1].end()
    mount("-o", "remount,ro", shop.data)
    refused = shop.run(SERVER_PYTHON, "z4j", "serve", "--port", str(shop.port))
    assert refused.returncode not in (0, 1)
    assert "Traceback" not in refused.stderr
    assert str(shop.data) in refused.stderr
    assert "not started" in refused.stderr or "No changes were made" in refused.stderr
    more = shop.produce("shop.ship", 20, "[2]")
    mount("-o", "remount,rw", shop.data)
    shop.start_server()
    wait_for(lambda: set(more) <= set(shop.states()), seconds=60, what="what the agents kept")
    assert person.get("/tasks").status_code == 200


def test_a_copy_that_does_not_fit_leaves_nothing_behind(shop: Stack) -> None:
    shop.start_worker()
    sent = shop.produce("shop.ship", 300, "[1]")
    wait_for(lambda: set(sent) <= set(shop.states()), what="the tasks are there")
    fill(shop.data, spare=400_000)
    done = shop.run(SERVER_PYTHON, "z4j", "backup", str(shop.data / "copy.db"))
    assert done.returncode != 0, "the database is larger than what is free"
    assert "are free in" in done.stderr
    assert "No changes were made" in done.stderr
    assert not [path for path in shop.data.iterdir() if "copy" in path.name]
    assert shop.rows("PRAGMA integrity_check") == [("ok",)]
