# SPDX-License-Identifier: AGPL-3.0-or-later
"""A disk without room: what needs no writing goes on, and what was committed is never called failed.

Twice: on a small file system of its own where that may be mounted, and with a limit that makes every write fail.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.damage import fill_up, no_descriptors, no_room
from tests.support.database import T, life, origin, task
from tests.support.site import ORIGIN, PASSWORD, Site, site
from z4j import clock
from z4j.agents.connections import AgentLink
from z4j.agents.ingest import ingest_batch
from z4j.web.auth import authentication
from z4j.web.pages.settings.connection_strings import connect_app, make_api_token
from z4j_agent import wire

ID = "00000000-0000-4000-8000-000000000001"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 6 MB; skipped where this user may not mount one."""
    folder.mkdir()
    if (
        os.getuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False, capture_output=True).returncode
    ):
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


class Shop:
    """A site, a failed task, a connected agent, a token, and a way to take the room away."""

    def __init__(self, made: Site, full: Callable[[], AbstractContextManager[None]]) -> None:
        self.site = made
        self.full = full
        self.frames: list[dict[str, Any]] = []
        store = made.server.store
        made.add_user("olga", "operator")
        made.call(connect_app, store, "shop", "h", "test")
        records = [origin(), *life(ID, T, "failed"), task("payload", ID, T, 2, '[1, "a"]', False, [None, "AHt9"], "plain")]
        made.call(ingest_batch, store, 1, b"".join(map(wire.encode_record, records)), at=T)
        self.link = AgentLink(
            1, "b9", "s9", "worker", "w1", "all", frozenset(), "", True, self.frames.append, lambda code, why: None,
            {("celery", "cancel_task"): "worker", ("celery", "retry_task"): "worker"}, "production",
        )  # fmt: skip
        made.server.hub.connect(self.link)
        self.token = made.call(make_api_token, store, "reader", "viewer", 1, "test")[1]

    def commands(self) -> list[Any]:
        return self.site.call(self.site.server.store.fetch_all, "SELECT status FROM command")  # type: ignore[no-any-return]


@pytest.fixture(params=["small disk", "limit"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    logging.getLogger("z4j").setLevel(logging.INFO)
    with ExitStack() as stack:
        is_disk = request.param == "small disk"
        folder = stack.enter_context(small_disk(tmp_path / "disk")) if is_disk else tmp_path
        made = stack.enter_context(site(folder))

        @contextmanager
        def full() -> Iterator[None]:
            cut_log(made)
            if not is_disk:
                with no_room():
                    yield
                return
            filler = fill_up(folder)
            try:
                yield
            finally:
                filler.unlink()

        yield Shop(made, full)


def cut_log(made: Site) -> None:
    """What the log has room for would go on being written for a while."""
    with contextlib.closing(sqlite3.connect(made.server.store.path, isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout = 2000")
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_pages_and_the_api_go_on_where_their_last_use_cannot_be_noted(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    made = shop.site
    assert made.sign_in("olga").status_code == 303
    now = clock.now()
    clock.use(lambda: (now + 600_000_000) * 1000)
    try:
        with shop.full():
            assert made.get("/tasks").status_code == 200
            answer = made.client.get("/api/v1/tasks", headers={"Authorization": f"Bearer {shop.token}"})
            assert answer.status_code == 200, answer.text
            assert made.get("/tasks.csv").status_code == 200
        assert "last use of a session" in str([getattr(record, "facts", {}) for record in caplog.records])
        assert "the request continued" in caplog.text
    finally:
        clock.use()


def test_one_can_sign_in_and_is_still_signed_in_when_there_is_room_again(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    made, store = shop.site, shop.site.server.store
    with shop.full():
        assert made.post("/login", name="olga", password="wrong and long enough").status_code == 403
        assert made.sign_in("olga").status_code == 303
        assert made.get("/tasks").status_code == 200
        assert made.call(store.fetch_all, "SELECT 1 FROM session") == []
    assert "a row of the audit log could not be written" in caplog.text
    assert made.get("/tasks").status_code == 200
    assert len(made.call(store.fetch_all, "SELECT 1 FROM session")) == 1, "stored as soon as that was possible"
    assert made.server.auth._unstored == {}
    assert made.post("/logout").status_code == 303
    assert made.get("/tasks").status_code == 303


def test_a_disabled_person_does_not_stay_signed_in_by_memory(shop: Shop) -> None:
    made = shop.site
    with shop.full():
        made.sign_in("olga")
        assert made.get("/tasks").status_code == 200
    made.write(lambda db: db.execute("UPDATE user SET disabled_at = 1 WHERE name = 'olga'").rowcount)
    assert made.get("/tasks").status_code == 303


def test_what_cannot_be_written_is_refused_in_plain_words(shop: Shop) -> None:
    made = shop.site
    made.sign_in("olga")
    with shop.full():
        answer = made.client.post("/tasks/1/retry", data={}, headers=ORIGIN, follow_redirects=False)
        assert answer.status_code == 503
        assert "The change was rolled back." in answer.text
        assert shop.commands() == []
        assert shop.frames == []
    made.post("/tasks/1/retry")
    assert len(shop.commands()) == 1
    assert len(shop.frames) == 1


def test_a_committed_command_is_not_called_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file beside the log cannot be written, for there is no descriptor left; the command is committed and leaves."""
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        shop = Shop(made, no_descriptors)
        made.sign_in("olga", PASSWORD)
        made.get("/tasks/1")  # what is loaded at the first look is loaded
        with shop.full():
            assert made.post("/tasks/1/retry").status_code == 303
        assert [row[0] for row in shop.commands()] == ["sent"]
        assert len(shop.frames) == 1
        assert made.audit()[-1][1:4] == ("retry_task", f"celery:{ID}", "done")


def test_a_command_that_could_not_be_marked_as_sent_is_sent_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    with site(tmp_path) as made:
        shop = Shop(made, no_room)
        made.sign_in("olga", PASSWORD)

        def refuse(db: Any, *_: Any) -> None:
            db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
            db.execute("INSERT INTO setting (key, value) VALUES ('large', ?)", ("x" * 1_000_000,))

        with monkeypatch.context() as patch:
            patch.setattr("z4j.operations.commands.commands.mark_sent", refuse)
            assert made.post("/tasks/1/retry").status_code == 303
        assert [row[0] for row in shop.commands()] == ["waiting"]
        assert shop.frames == []
        made.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
        assert made.call(made.server.outbox.retry, clock.now() + 60_000_000) == 1
        assert [row[0] for row in shop.commands()] == ["sent"]
        assert len(shop.frames) == 1
