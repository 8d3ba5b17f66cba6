# SPDX-License-Identifier: AGPL-3.0-or-later
"""The audit log in a real database: what is appended, when heads are signed, and that no tampering with the file goes unseen."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.database import T, database
from z4j import cli
from z4j.exceptions import StoreError
from z4j.rules.audit.checkpoints import link
from z4j.rules.audit.entries import Head
from z4j.store.access import audit_checkpoints, audit_head_files
from z4j.store.access.audit import AuditLog, list_audit
from z4j.store.access.audit_checkpoints import EVERY_ROWS, EVERY_US
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[4]


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


async def test_a_checkpoint_comes_at_once_every_so_many_rows_after_a_second_or_on_demand(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        assert await log.sign_head(store, T) is None
        await write(store, log, EVERY_ROWS + 3)
        assert [point.seq for point in await audit_checkpoints.list_checkpoints(store)] == [1, EVERY_ROWS + 1]
        newest = await log.sign_head(store, T + 99)
        assert newest is not None
        assert (newest.seq, newest.at, newest.key_id, newest.number) == (EVERY_ROWS + 3, T + 99, log.signer.key_id, 3)
        assert await log.sign_head(store, T + 100) == newest == log.newest
        await write(store, log, 1, EVERY_US + 99)  # a second after the last one
        await log.record(store, at=T + EVERY_US + 100, actor="ada", role="admin", action="set_role", target="user:bea")  # sensitive
        points = await audit_checkpoints.list_checkpoints(store)
        assert [point.seq for point in points[3:]] == [EVERY_ROWS + 4, EVERY_ROWS + 5]
        assert [point.previous for point in points[1:]] == [link(point) for point in points[:-1]]
        verdict = await log.verify(store)
        assert (verdict.is_intact, verdict.heads, verdict.digest) == (True, 5, points[-1].digest)
        holds = audit_checkpoints.holds_checkpoint
        assert await holds(store, newest.seq, newest.digest)
        assert not await holds(store, newest.seq, b"x" * 32)
        assert not await holds(store, newest.seq + 1, newest.digest)


async def test_what_is_not_what_was_written_is_not_signed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 5)
        tamper(tmp_path, "UPDATE audit SET actor = 'eve' WHERE seq = 4")
        before = await audit_checkpoints.newest_checkpoint(store)
        assert await log.sign_head(store, T) == before
        assert log.alarm is not None
        assert log.alarm.row == 4
        await log.record(store, at=T, actor="ada", role="admin", action="set_role", target="user:bea")  # the action itself goes on
        assert await audit_checkpoints.newest_checkpoint(store) == before
        assert caplog.text.count("the audit log could not be verified. No checkpoint") == 1
        tamper(tmp_path, "UPDATE audit SET actor = 'ada' WHERE seq = 4")
        assert (await log.check(store, T)) is not None
        assert log.alarm is None
        assert (await log.check(store, T + 1)) is None  # once a day
        newest = await log.sign_head(store, T)
        assert newest is not None
        assert newest.seq == 6


async def test_a_forged_tail_with_its_own_checkpoint_is_not_extended(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 5)
        await log.sign_head(store, T)
        for change in (
            "UPDATE audit_head SET digest = zeroblob(32) WHERE number = 2",
            "DELETE FROM audit_head WHERE number = 2",
            "DELETE FROM audit WHERE seq > 3",
        ):
            tamper(tmp_path, change)
            log.alarm = None
            await write(store, log, 1, 6)
            await log.sign_head(store, T)
            assert log.alarm is not None, change
            assert not (await log.verify(store)).is_intact


async def test_a_running_server_remembers_its_log_when_every_file_was_rewritten(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 6)
        await log.sign_head(store, T)
        log.memory.flush()
        tamper(tmp_path, "DELETE FROM audit WHERE seq > 1", "DELETE FROM audit_head WHERE seq > 1")
        first = (tmp_path / "audit.witnesses").read_text().splitlines(keepends=True)[0]
        (tmp_path / "audit.witnesses").write_text(first)
        (tmp_path / "audit.head").unlink()
        assert (await AuditLog(tmp_path).verify(store)).is_intact
        await log.sign_head(store, T + 1)
        log.memory.flush()
        assert "the server that was running recorded row 6" in (await AuditLog(tmp_path).verify(store)).why


TAMPERED = {
    "an edited row": (["UPDATE audit SET actor = 'eve' WHERE seq = 5"], 5),
    "a deleted row": (["DELETE FROM audit WHERE seq = 5"], 5),
    "two rows exchanged": (
        ["UPDATE audit SET seq = 99 WHERE seq = 4", "UPDATE audit SET seq = 4 WHERE seq = 5", "UPDATE audit SET seq = 5 WHERE seq = 99"],
        4,
    ),
    "the end cut off": (["DELETE FROM audit WHERE seq > 7"], 8),
    "a row before the first": (["UPDATE audit SET seq = -1 WHERE seq = 4"], 1),
    "a forged checkpoint": (["UPDATE audit_head SET digest = zeroblob(32) WHERE seq = 8"], 8),
    "a checkpoint with another time": (["UPDATE audit_head SET at = at + 1 WHERE seq = 8"], 8),
    "a checkpoint of another key": (["UPDATE audit_head SET key_id = 'ffffffff' WHERE seq = 8"], 8),
    "the first checkpoint gone": (["DELETE FROM audit_head WHERE number = 1"], 8),
    "the last checkpoint gone": (["DELETE FROM audit_head WHERE number = 2"], 2),
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
        log.memory.close()
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
        assert log.alarm is not None
        assert "the audit log could not be verified" in caplog.text
        await write(store, log, 9)
        await log.sign_head(store, T)
        (tmp_path / "audit.head").unlink()
        assert not (await log.verify(store)).is_intact


async def test_a_rollback_of_everything_is_found_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        kept = await log.sign_head(store, T)
        assert kept is not None
        log.memory.close()
    tamper(tmp_path, "DELETE FROM audit WHERE seq > 3", "DELETE FROM audit_head")
    (tmp_path / "audit.head").unlink()
    async with reopened(tmp_path) as store:
        assert not (await AuditLog(tmp_path).verify(store)).is_intact  # audit.witnesses remembers
        (tmp_path / "audit.witnesses").unlink()
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        await log.sign_head(store, T)
        assert (await log.verify(store)).is_intact
        verdict = await log.verify(store, Head(kept.seq, kept.digest))
        assert (verdict.broken_at, verdict.is_intact) == (8, False)


async def test_the_files_beside_the_database_are_part_of_the_log(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 8)
        await log.sign_head(store, T)
        assert (await log.verify(store)).is_intact
        witnesses, head = tmp_path / "audit.witnesses", tmp_path / "audit.head"
        assert {stat.S_IMODE(path.stat().st_mode) for path in (witnesses, head)} == {0o600}
        for path, text in (
            (witnesses, ""), (witnesses, "x\n"), (head, "8 zz\n"), (head, f"9 {'00' * 32}\n"), (witnesses, '{"kind":"else"}\n'),
        ):  # fmt: skip
            whole = path.read_bytes()
            path.write_text(text)
            found = await log.verify(store)
            assert not found.is_intact, (path, text)
            path.write_bytes(whole)
        with witnesses.open("ab") as file:
            file.write(b'{"kind":"checkpoint","num')  # torn by a crash
        assert (await log.verify(store)).is_intact
        await write(store, log, 1, EVERY_US * 9)
        assert (await log.verify(store)).is_intact
        assert log.memory.remembered().heads[-1].seq == 9
        log.memory.flush()
        witnesses.unlink()
        assert "audit.witnesses is missing" in (await log.verify(store)).why


async def test_the_file_of_witnesses_is_compacted_and_keeps_every_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_head_files, "LONG", 2_000)
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        log.report(Head(99, b"m" * 32, 0, "the agent on h1"), T)
        for number in range(60):
            await write(store, log, 1, number * EVERY_US)
        log.memory.flush()
        assert (tmp_path / "audit.witnesses").stat().st_size < 3_000
        heads = log.memory.remembered().heads
        assert (heads[1].source, heads[-1].number) == ("the agent on h1", 60)
        assert "the agent on h1 recorded row 99" in (await log.verify(store)).why


# -- copies and restores ---------------------------------------------------------------------------------------------------


def test_a_restored_backup_verifies_and_says_that_it_is_a_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live, restored = tmp_path / "live", tmp_path / "restored"
    live.mkdir()
    restored.mkdir()

    def run(folder: Path, *words: str) -> tuple[int, str]:
        code = cli.main([*words, "--data", str(folder)])
        return code, capsys.readouterr().out

    async def work(folder: Path, first: int) -> None:
        async with reopened(folder) as store:
            log = AuditLog(folder)
            await write(store, log, 5, first)
            await log.close(store, T)

    async def create() -> None:
        async with database(live):
            pass

    asyncio.run(create())
    asyncio.run(work(live, 1))
    assert run(live, "backup", str(restored / "z4j.db"))[0] == 0
    asyncio.run(work(live, 9))
    for name in ("audit.key", "audit.ed25519"):
        shutil.copy(live / name, restored / name)
    for _ in range(2):
        code, said = run(restored, "audit", "verify")
        assert (code, said.splitlines()[0].partition(" rows")[0]) == (0, "6"), said
        assert "records a backup at" in said

    # In place of the live database the same copy is a rollback, until somebody says that it is known.
    (restored / "z4j.db").replace(live / "z4j.db")
    for name in ("z4j.db-wal", "z4j.db-shm"):
        (live / name).unlink(missing_ok=True)
    code, said = run(live, "audit", "verify")
    assert (code, "its end was removed" in said) == (10, True)
    asyncio.run(work(live, 20))
    assert run(live, "audit", "verify")[0] == 10  # work went on, and the evidence stayed
    code, said = run(live, "audit", "acknowledge", "--reason", "the disk died")
    assert (code, "row 11" in said) == (0, True), said
    code, said = run(live, "audit", "verify")
    assert code == 0, said
    assert "No changes" in run(live, "audit", "acknowledge", "--reason", "again")[1]
    [aside] = live.glob("audit.witnesses.acknowledged-*")
    assert "audit.head" in aside.read_text()


async def test_a_server_that_starts_on_a_copy_says_so_in_the_log(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        log = AuditLog(tmp_path)
        await write(store, log, 2)
        await log.record(store, at=T + 5, actor="ada", role="admin", action="backup", target="file:x")
        log.memory.close()
        for name in ("audit.head", "audit.witnesses"):
            (tmp_path / name).unlink()
        log = AuditLog(tmp_path)
        await log.start(store, T + 9)
        row = (await list_audit(store, limit=1))[0]
        assert (row.action, json.loads(row.detail)) == ("restore", {"copied_at": T + 5})
        log.memory.close()
        (tmp_path / "audit.witnesses").unlink()
        log = AuditLog(tmp_path)
        await log.start(store, T + 10)
        assert (await list_audit(store, limit=1))[0].action == "audit_memory_missing"
        assert log.alarm is not None


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
            log.memory.close()

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
    assert kinds == ["log", *["remembered"] * 4, "row", "head", *["row"] * 7, "head", *["row"] * 5, "head"]
    code, said = offline_verify(tmp_path, exported)
    assert (code, said.partition(".")[0]) == (0, "13 rows and 3 checkpoints verified: the log is intact"), said
    seen = said.strip().rpartition(" ")[2]
    assert offline_verify(tmp_path, exported, "--seen", seen)[0] == 0
    assert cli.main(["audit", "verify", "--head", seen, "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("14 rows")  # two exports; the refused one left no row
    assert offline_verify(tmp_path, ["not json"])[0] == 2


def edited(lines: list[str], index: int, **changes: object) -> list[str]:
    return [*lines[:index], json.dumps({**json.loads(lines[index]), **changes}), *lines[index + 1 :]]


def test_the_offline_check_finds_every_tampering(exported: list[str], tmp_path: Path) -> None:
    last = json.loads(exported[-1])
    # Row n stands at index 4 + n, from row 2 on at 5 + n, from row 9 on at 6 + n.
    renumbered = [*exported[:8], *(json.dumps({**json.loads(line), "seq": json.loads(line)["seq"] - 1}) for line in exported[9:14])]
    broken = {
        "edited": edited(exported, 8, actor="eve"),
        "edited mac": edited(exported, 8, mac="00" * 32),
        "edited behind the second checkpoint": edited(exported, 16, detail="{}x"),
        "deleted": exported[:8] + exported[9:],
        "deleted and renumbered": [*renumbered, *exported[14:]],
        "reordered": [*exported[:8], exported[9], exported[8], *exported[10:]],
        "truncated behind a checkpoint": exported[:-2],
        "cut at a checkpoint": exported[:15],
        "a checkpoint less": exported[:14] + exported[15:],
        "the first checkpoint less": exported[:6] + exported[7:],
        "a forged checkpoint": edited(exported, 14, digest="00" * 32),
        "a moved checkpoint": edited(exported, 14, seq=7),
        "a checkpoint signed anew": edited(exported, 20, at=last["at"] + 1),
        "a checkpoint of another key": edited(exported, 20, key_id="ffffffff"),
        "a checkpoint that names another": edited(exported, 20, previous="00" * 32),
        "a checkpoint that names none": edited(exported, 20, previous=""),
    }
    for what, lines in broken.items():
        code, said = offline_verify(tmp_path, lines)
        assert (code, said[:7]) == (1, "BROKEN:"), f"{what}: {said}"
    back = [exported[0], *exported[5:15]]  # rolled back to an older checkpoint, with nothing remembered beside it
    assert "ends with the row of the export" in offline_verify(tmp_path, back)[1]
    assert "rolled back" in offline_verify(tmp_path, back, "--seen", f"{last['seq']}:{last['digest']}")[1]
    (tmp_path / "audit_head").write_text(json.dumps(last))  # as an agent keeps it
    assert offline_verify(tmp_path, back, "--seen", "audit_head")[0] == 1
    assert offline_verify(tmp_path, exported, "--seen", f"8:{'00' * 32}")[0] == 1
