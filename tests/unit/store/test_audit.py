# SPDX-License-Identifier: AGPL-3.0-or-later
"""The audit log in a real database: what is appended, when heads are signed, and that no tampering with the file goes unseen."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import T, database
from z4j import cli
from z4j.exceptions import StoreError
from z4j.rules.audit import Head
from z4j.store import heads
from z4j.store.audit import AuditLog, list_audit
from z4j.store.db import Store

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]


async def write(store: Store, log: AuditLog, rows: int, first: int = 1) -> None:
    for number in range(first, first + rows):
        await log.record(store, at=T + number, actor="ada", role="admin", action="retry_task", target=f"celery:{number}", address="::1")


def tamper(folder: Path, *changes: str) -> None:
    db = sqlite3.connect(folder / "z4j.db")
    for change in changes:
        assert db.execute(change).rowcount != 0
    db.commit()
    db.close()


async def test_rows_are_chained_and_listed_newest_first(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 3)
        rows = await list_audit(store, limit=2)
        assert [(row.seq, row.target) for row in rows] == [(3, "celery:3"), (2, "celery:2")]
        assert [row.seq for row in await list_audit(store, before=2)] == [1]
        assert log.kept_head() == Head(3, rows[0].mac)
        verdict = await AuditLog(tmp_path).verify(store)
        assert (verdict.is_intact, verdict.rows, verdict.head) == (True, 3, log.kept_head())


async def test_the_keys_are_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    first, second = AuditLog(tmp_path), AuditLog(tmp_path)
    assert (first.key_id, first.signer.key_id) == (second.key_id, second.signer.key_id)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("audit.key", "audit.ed25519")} == {0o600}
    for name in ("audit.key", "audit.ed25519"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"short")
        with pytest.raises(StoreError, match=name):
            AuditLog(tmp_path)
        (tmp_path / name).write_bytes(whole)


async def test_a_head_is_signed_every_so_many_rows_and_on_demand(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        assert await log.sign_head(store, T) is None
        await write(store, log, heads.EVERY_ROWS + 2)
        assert [head.seq for head in await heads.list_heads(store)] == [heads.EVERY_ROWS]
        newest = await log.sign_head(store, T + 99)
        assert newest is not None
        assert (newest.seq, newest.at, newest.key_id) == (heads.EVERY_ROWS + 2, T + 99, log.signer.key_id)
        assert await log.sign_head(store, T + 100) == newest == log.newest
        verdict = await log.verify(store)
        assert (verdict.is_intact, verdict.heads, verdict.digest) == (True, 2, newest.digest)
        assert await heads.holds_head(store, newest.seq, newest.digest)
        assert not await heads.holds_head(store, newest.seq, b"x" * 32)
        assert not await heads.holds_head(store, newest.seq + 1, newest.digest)


TAMPERED = {
    "an edited row": (["UPDATE audit SET actor = 'eve' WHERE seq = 5"], 5),
    "a deleted row": (["DELETE FROM audit WHERE seq = 5"], 5),
    "two rows exchanged": (
        ["UPDATE audit SET seq = 99 WHERE seq = 4", "UPDATE audit SET seq = 4 WHERE seq = 5", "UPDATE audit SET seq = 5 WHERE seq = 99"],
        4,
    ),
    "the end cut off": (["DELETE FROM audit WHERE seq > 7"], 8),
    "a forged head": (["UPDATE audit_head SET digest = zeroblob(32) WHERE seq = 8"], 8),
    "a head with another time": (["UPDATE audit_head SET at = at + 1 WHERE seq = 8"], 8),
    "a head of another key": (["UPDATE audit_head SET key_id = 'ffffffff' WHERE seq = 8"], 8),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.parametrize("keeps_head_file", [True, False])
async def test_tampering_with_the_database_is_found(tmp_path: Path, what: str, keeps_head_file: bool) -> None:
    changes, broken_at = TAMPERED[what]
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        await log.sign_head(store, T)
        await write(store, log, 2, 9)
    tamper(tmp_path, *changes)
    if not keeps_head_file:
        (tmp_path / "audit.head").unlink()
    async with reopened(tmp_path) as store:
        verdict = await AuditLog(tmp_path).verify(store)
        assert not verdict.is_intact, what
        assert verdict.broken_at == broken_at, verdict.why


async def test_a_log_cut_behind_its_last_head_goes_on_and_stays_broken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        await log.sign_head(store, T)
    tamper(tmp_path, "DELETE FROM audit WHERE seq > 3")
    async with reopened(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 1)  # the server must go on writing
        await log.sign_head(store, T)
        assert "before its last signed head" in caplog.text
        await write(store, log, 9)
        await log.sign_head(store, T)
        (tmp_path / "audit.head").unlink()
        assert not (await log.verify(store)).is_intact


async def test_a_whole_rollback_is_found_only_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        kept = await log.sign_head(store, T)
        assert kept is not None
    tamper(tmp_path, "DELETE FROM audit WHERE seq > 3", "DELETE FROM audit_head")
    (tmp_path / "audit.head").unlink()
    async with reopened(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        await log.sign_head(store, T)
        assert (await log.verify(store)).is_intact
        verdict = await log.verify(store, Head(kept.seq, kept.digest))
        assert (verdict.broken_at, verdict.is_intact) == (8, False)


class reopened:  # noqa: N801 -- reads like database()
    """The database of a folder once more, without making it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "z4j.db")

    async def __aenter__(self) -> Store:
        await self.store.start()
        return self.store

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()


# -- exported and checked without the server -------------------------------------------------------------------------------


def offline_verify(folder: Path, lines: list[str], *words: str) -> tuple[int, str]:
    (folder / "checked.jsonl").write_text("\n".join(lines) + "\n")
    command = [sys.executable, str(ROOT / "examples/audit/verify.py"), "checked.jsonl", "public.pem", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    async def fill() -> None:
        async with database(tmp_path) as store:
            log = AuditLog(tmp_path)
            await write(store, log, 8)
            await log.sign_head(store, T)
            await write(store, log, 4, 9)

    asyncio.run(fill())
    assert cli.main(["audit", "key", "--data", str(tmp_path)]) == 0
    (tmp_path / "public.pem").write_text(capsys.readouterr().out)
    assert cli.main(["audit", "export", str(tmp_path / "audit.jsonl"), "--data", str(tmp_path)]) == 0
    assert stat.S_IMODE((tmp_path / "audit.jsonl").stat().st_mode) == 0o600
    assert cli.main(["audit", "export", str(tmp_path / "audit.jsonl"), "--data", str(tmp_path)]) != 0  # never over another file
    assert cli.main(["audit", "export", "--data", str(tmp_path)]) == 0
    assert "export_audit" in capsys.readouterr().out
    return (tmp_path / "audit.jsonl").read_text().splitlines()


def test_an_export_is_checked_without_the_server(exported: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [json.loads(line)["type"] for line in exported]
    assert kinds == ["log", *["row"] * 8, "head", *["row"] * 5, "head"]
    code, said = offline_verify(tmp_path, exported)
    assert (code, said.partition(",")[0]) == (0, "13 rows and 2 signed heads"), said
    seen = said.strip().rpartition(" ")[2]
    assert offline_verify(tmp_path, exported, "--seen", seen)[0] == 0
    assert cli.main(["audit", "verify", "--head", seen, "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("14 rows")  # two exports; the refused one left no row
    assert offline_verify(tmp_path, ["not json"])[0] == 2


def edited(lines: list[str], index: int, **changes: object) -> list[str]:
    return [*lines[:index], json.dumps({**json.loads(lines[index]), **changes}), *lines[index + 1 :]]


def test_the_offline_check_finds_every_tampering(exported: list[str], tmp_path: Path) -> None:
    last = json.loads(exported[-1])
    renumbered = [*exported[:3], *(json.dumps({**json.loads(line), "seq": json.loads(line)["seq"] - 1}) for line in exported[4:9])]
    broken = {
        "edited": edited(exported, 3, actor="eve"),
        "edited mac": edited(exported, 3, mac="00" * 32),
        "edited behind the first head": edited(exported, 11, detail="{}x"),
        "deleted": exported[:3] + exported[4:],
        "deleted and renumbered": [*renumbered, *exported[9:]],
        "reordered": [*exported[:3], exported[4], exported[3], *exported[5:]],
        "truncated behind a head": exported[:-2],
        "a forged head": edited(exported, 9, digest="00" * 32),
        "a moved head": edited(exported, 9, seq=7),
        "a head signed anew": edited(exported, 14, at=last["at"] + 1),
        "a head of another key": edited(exported, 14, key_id="ffffffff"),
    }
    for what, lines in broken.items():
        code, said = offline_verify(tmp_path, lines)
        assert (code, said[:7]) == (1, "BROKEN:"), f"{what}: {said}"
    back = exported[:10]  # whole in itself: rolled back to an older signed head
    assert offline_verify(tmp_path, back)[0] == 0
    assert "rolled back" in offline_verify(tmp_path, back, "--seen", f"{last['seq']}:{last['digest']}")[1]
    (tmp_path / "audit_head").write_text(json.dumps(last))  # as an agent keeps it
    assert offline_verify(tmp_path, back, "--seen", "audit_head")[0] == 1
    assert offline_verify(tmp_path, exported, "--seen", f"8:{'00' * 32}")[0] == 1
