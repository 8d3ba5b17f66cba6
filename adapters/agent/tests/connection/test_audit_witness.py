# SPDX-License-Identifier: Apache-2.0
"""The agent keeps the last head of the server's audit log and says when a server cannot extend it."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent.capture.guard import faults
from z4j_agent.connection import connection as module
from z4j_agent.connection.audit_witness import BROKEN, FILE, RESTORED, Witness
from z4j_agent.wire import records

WELCOME = {"type": "welcome", "protocol": 1, "server_version": "0", "session": "s", "at": 1, "window": 4, "heartbeat_s": 0.5}


def head(seq: int, fill: str = "a", key_id: str = "k", **more: Any) -> dict[str, Any]:
    return {"seq": seq, "at": 5, "digest": fill * 64, "key_id": key_id, "signature": "00"} | more


def connected(folder: Path | None) -> Witness:
    witness = Witness(folder)
    witness.in_hello()
    return witness


@pytest.mark.parametrize("has_folder", [True, False])
def test_heads_that_go_on_are_kept(tmp_path: Path, has_folder: bool) -> None:
    witness = connected(tmp_path if has_folder else None)
    assert witness.in_hello() == {}
    assert witness.see(None) == ""
    assert witness.see(head(5, extends=None)) == ""
    assert witness.in_hello() == {"audit_head": {"seq": 5, "digest": "a" * 64}}
    assert witness.see(head(5, extends=True)) == ""
    assert witness.see(head(9, "b")) == ""
    assert witness.stored_head() == head(9, "b")
    if has_folder:
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
        assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]
        assert Witness(tmp_path).in_hello() == {"audit_head": {"seq": 9, "digest": "b" * 64}}


def test_a_heartbeat_reports_what_is_on_disk_and_newer_fields_are_kept(tmp_path: Path) -> None:
    witness = connected(tmp_path)
    assert witness.in_frame() == {}
    witness.see(head(5, number=3, previous="cc" * 32))
    assert witness.stored_head() == head(5, number=3, previous="cc" * 32)
    assert witness.in_frame() == {"audit_head": {"seq": 5, "digest": "a" * 64}}
    Witness(tmp_path).see(head(8, "b"))  # another process of the folder
    assert witness.in_frame() == {"audit_head": {"seq": 8, "digest": "b" * 64}}


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (head(9, extends=False), "row 5 is missing or differs"),
        (head(3, extends=True), "the log now ends at row 3"),
        (head(5, "b", extends=True), "row 5 differs from the one"),
        (head(9, key_id="other", extends=True), "key other"),
        ({"seq": 0, "extends": False}, "no longer has a signed audit head"),
        (None, "no longer has a signed audit head"),
    ],
)
@pytest.mark.parametrize("has_folder", [True, False])
def test_a_server_that_cannot_extend_the_log_is_found_once_and_the_old_head_is_kept(
    tmp_path: Path, shown: dict[str, Any] | None, words: str, has_folder: bool
) -> None:
    folder = tmp_path if has_folder else None
    first = connected(folder)
    first.see(head(5))
    second = first if folder is None else Witness(folder)
    second.in_hello()
    assert words in second.see(shown)
    if folder is not None:
        assert json.loads((folder / BROKEN).read_text()) == head(5)
    second.in_hello()
    assert second.see(shown and {**shown, "extends": None}) == ""  # told once; what the server says now is where it goes on from
    assert second.see(head(99)) == "" or shown is not None
    if folder is not None:
        assert json.loads((folder / BROKEN).read_text()) == head(5)


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_restored_backup_is_no_contradiction_and_the_old_head_is_kept_as_evidence(tmp_path: Path, has_folder: bool) -> None:
    folder = tmp_path if has_folder else None
    witness = connected(folder)
    witness.see(head(9))
    witness = witness if folder is None else connected(folder)
    witness.in_hello()
    assert witness.see(head(5, "b", extends=False, restored={"row": 4, "at": 7})) == ""
    assert witness.restored_by == 4
    assert witness.in_frame() == {"audit_head": {"seq": 5, "digest": "b" * 64}}
    if folder is not None:
        assert json.loads((folder / RESTORED).read_text()) == head(9)
        assert not (folder / BROKEN).exists()
    assert witness.see(head(6, "c")) == ""
    assert witness.restored_by == 0
    assert "log now ends at row 5" in witness.see(head(5, "b"))  # a head after the restore is compared like any other


@pytest.mark.parametrize("restored", [None, {}, [], 4, {"row": 0}, {"row": -1}, {"row": "4"}, {"row": 6}, {"at": 4}], ids=json.dumps)
def test_a_restore_that_is_not_part_of_the_shown_log_is_none(tmp_path: Path, restored: object) -> None:
    connected(tmp_path).see(head(9))
    witness = connected(tmp_path)
    assert "log now ends at row 5" in witness.see(head(5, "b", extends=False, restored=restored))
    assert not (tmp_path / RESTORED).exists()


def test_another_process_of_the_folder_may_be_ahead(tmp_path: Path) -> None:
    slow, quick = connected(tmp_path), connected(tmp_path)
    assert quick.see(head(9)) == ""
    assert slow.see(head(5)) == ""  # sent before the other was shown row 9
    assert Witness(tmp_path).stored_head() == head(9)


def test_a_head_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for text in (
        "",
        "nonsense",
        "[]",
        '{"seq": "5"}',
        json.dumps(head(0)),
        json.dumps(head(5, "ä"))[:-3],
        json.dumps(head(5) | {"digest": "a"}),
    ):
        (tmp_path / FILE).write_text(text)
        assert Witness(tmp_path).in_hello() == {}
    (tmp_path / FILE).unlink()
    (tmp_path / "elsewhere").write_text(json.dumps(head(5)))
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    assert Witness(tmp_path).stored_head() is None  # links are not followed


def test_a_head_that_may_be_readable_again_is_not_replaced_and_one_that_is_broken_is(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(json.dumps(head(7)))
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    witness = connected(tmp_path)
    assert witness.see(head(9)) == ""
    assert (tmp_path / FILE).is_symlink()
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_text("torn")
    assert witness.see(head(10)) == ""
    assert Witness(tmp_path).stored_head() == head(10)


def test_a_folder_that_is_gone_costs_the_memory_of_it_and_nothing_else(tmp_path: Path) -> None:
    witness = connected(tmp_path / "gone")
    assert witness.see(head(5)) == ""
    assert witness.see(head(9)) == ""
    assert witness.stored_head() is None


def test_the_agent_logs_a_restore_and_reports_no_fault(
    gateway: Any, tmp_path: Path, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "z4j_agent")
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.02)
    monkeypatch.setattr(module, "BACKOFF_MAX_S", 0.05)
    gateway.answer_hello = json.dumps(WELCOME | {"audit_head": head(9, extends=None)})
    agent = z4j_agent.start(url=gateway.url, spool=tmp_path / "spool")
    assert agent is not None
    agent.connect()
    folder = agent.shipper.folder
    assert folder is not None
    until((folder / FILE).exists)
    gateway.answer_hello = json.dumps(WELCOME | {"audit_head": head(5, "b", extends=False, restored={"row": 5, "at": 7})})
    gateway.sockets[-1].close()
    until((folder / RESTORED).exists)
    until(lambda: "row 5 of its audit log lists the abandoned rows" in caplog.text)
    assert json.loads((folder / FILE).read_text())["seq"] == 5
    assert not (folder / BROKEN).exists()
    assert faults.total == 0


def test_the_agent_reports_a_log_that_was_rolled_back(
    gateway: Any, tmp_path: Path, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "z4j_agent")
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.02)
    monkeypatch.setattr(module, "BACKOFF_MAX_S", 0.05)
    gateway.answer_hello = json.dumps(WELCOME | {"audit_head": head(9, extends=None)})
    agent = z4j_agent.start(url=gateway.url, spool=tmp_path / "spool")
    assert agent is not None
    agent.connect()
    folder = agent.shipper.folder
    assert folder is not None
    file = folder / FILE
    until(file.exists)
    gateway.send_frame({"type": "ack", "seq": 0, "audit_head": head(12, "b")})
    until(lambda: json.loads(file.read_text())["seq"] == 12)
    gateway.answer_hello = json.dumps(WELCOME | {"audit_head": head(7, "c", extends=False)})
    gateway.sockets[-1].close()
    until(lambda: len(gateway.hellos) == 2)
    assert "audit_head" not in gateway.hellos[0]
    assert gateway.hellos[1]["audit_head"] == {"seq": 12, "digest": "b" * 64}
    [fault] = until(lambda: [record for record in gateway.records if record[0] == "fault"])
    assert fault[3]["where"] == "audit head"
    assert "row 12 was received here, but the log now ends at row 7" in fault[3]["error"]
    assert faults.total == 1
    assert "was truncated or rewritten" in caplog.text
    assert json.loads((folder / BROKEN).read_text())["seq"] == 12
    assert agent.append(records.started("fake", "t", 0, 1, agent.run, "n", "q"))
    assert agent.flush(8)  # the host's events go on
