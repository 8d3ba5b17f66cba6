# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a row of the audit log shows of its details: no secret, no control character, every digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.database import T, database
from z4j.store.access.audit import AuditLog, list_audit
from z4j.text import JsonObject

pytestmark = pytest.mark.anyio


async def test_details_hide_secrets_and_show_control_characters(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        detail: JsonObject = {
            "token": 5,
            "password": "hunter2-hunter2",
            "why": "Bearer abcdefghijklmnopqrstuvwxyz0123456789",
            "note": "a\x1b[2Jb\u202e\xad\u2060\U000e0041",
        }
        await log.record(
            store, at=T, actor="e\nve\x9b", role="admin", action="set_role", target="user:x\ry", address="::1\t", detail=detail
        )
        [row] = await list_audit(store)
        assert (row.actor, row.target, row.address) == ("e\\nve\\x9b", "user:x\\ry", "::1\\t")
        told = json.loads(row.detail)
        assert told["token"] == 5
        assert "hunter2" not in row.detail
        assert "abcdefghijklm" not in row.detail
        assert not any(letter in row.detail for letter in "\x1b\x9b\u202e\xad\u2060\U000e0041")


async def test_a_digest_of_the_servers_own_is_never_taken_for_a_secret(tmp_path: Path) -> None:
    """A restore is verified by its digest: a masked one would look like a log that somebody changed."""
    looks_secret = "sk-proj-Zq7Canary0123456789abcdef"
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await store.write(
            lambda db: log.append(
                db, at=T, actor="ada", role="admin", action="restore_backup", target="backup.db",
                detail={"note": looks_secret}, digests={"abandoned_sha256": looks_secret},
            ), durable=True,
        )  # fmt: skip
        [row] = await list_audit(store)
    assert json.loads(row.detail) == {"note": "•••", "abandoned_sha256": looks_secret}
