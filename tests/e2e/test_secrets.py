# SPDX-License-Identifier: AGPL-3.0-or-later
"""A secret in a task's arguments is never in clear anywhere we write, and still reaches the retried task."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support.browserless import Person
from tests.support.stack import Stack, wait_for

SECRET = "correct-horse-battery-7f3a91"


def files_with(secret: str, folder: Path) -> list[Path]:
    """Every file below `folder` that holds the secret in clear."""
    needle = secret.encode()
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_retry_with_a_secret(shop: Stack, tmp_path: Path) -> None:
    # The app's own configuration may know the secret; what is searched are our files: database, WAL, spool, logs, pages.
    env = {"SECRET": SECRET, "UNLOCK": str(tmp_path / "unlock")}
    os.environ.update(env)
    worker = shop.start_worker(env=env)
    person = Person.sign_in(shop)
    [task_id] = shop.produce("shop.login", 1, json.dumps(["ada", SECRET]))
    wait_for(lambda: shop.states().get(task_id) == 11, what="the task failed behind the closed door")

    spool = shop.folder / "spool"
    kept = tmp_path / "kept-segments"
    kept.mkdir()
    for segment in spool.rglob("*"):
        if segment.is_file():
            os.link(segment, kept / f"{segment.name}")

    (tmp_path / "unlock").touch()
    wait_for(lambda: "•••" in person.get_task(task_id).text, what="the masked arguments are shown")
    assert SECRET not in person.get_task(task_id).text
    person.act(task_id, "retry")

    wait_for(lambda: any(line[0] == "end-right" for line in shop.testimony()), what="the retried task got the true secret")
    assert not any(line[0] == "end-wrong" for line in shop.testimony())
    retried = next(line[1] for line in shop.testimony() if line[0] == "end-right")
    assert retried != task_id
    wait_for(lambda: shop.states().get(retried) == 12, what="the retried task succeeded")
    assert SECRET not in person.get_task(retried).text
    for path in ("/tasks", "/tasks.json", "/tasks.csv", "/changes", "/changes.json"):
        assert SECRET not in person.get(path).text, path
    assert worker.end() == 0
    assert files_with(SECRET, shop.data) == []
    assert files_with(SECRET, spool) == []
    assert files_with(SECRET, kept) == []
    assert SECRET not in (shop.folder / "server.log").read_text()
