# SPDX-License-Identifier: AGPL-3.0-or-later
"""A database of an earlier version is brought along by whoever starts on it, and a copy of it is kept."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2

from tests.support.stack import SERVER_PYTHON, stack, wait_for
from z4j.store.sqlite import migrate


def test_a_database_of_an_earlier_version(tmp_path: Path) -> None:
    with stack(tmp_path) as made:
        made.data.mkdir(mode=0o700)
        path = made.data / "z4j.db"
        with closing(sqlite3.connect(path)) as db:
            for number, text in migrate.migrations()[:-1]:
                db.executescript(f"{text}\nPRAGMA user_version = {number};")
            db.execute("INSERT INTO app (name, created_at) VALUES ('kept', 0)")
            db.commit()
        server = made.start("dev", [SERVER_PYTHON, "-m", "z4j", "dev", "--port", str(made.port)])
        wait_for(lambda: made.answers(server), what="it answers")
        link = re.search(r"http://\S+/login\?code=\S+", server.log.read_text())
        assert link is not None
        assert httpx2.get(link[0], timeout=60).status_code in (200, 303)
        assert made.rows("SELECT 1 FROM app WHERE name = 'kept'")
        assert migrate.version(path) == migrate.newest()
        said, keep = server.log.read_text(), made.data / "connection"
        url = keep.read_text()
        assert keep.stat().st_mode & 0o777 == 0o600
        assert f'export Z4J_URL="$(cat {keep})"' in said
        secret = url.partition("://")[2].rpartition("@")[0]
        assert url == f"z4j+ws://{secret}@127.0.0.1:{made.port}"
        assert not [part for part in secret.split(".") if part in said], "neither token nor seal key is printed"
        assert [copy.stat().st_mode & 0o777 for copy in made.data.glob("z4j.db.before-*")] == [0o600]
