# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the gateway answers an agent that kept a head of the audit log."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession

from tests.support.database import create_database
from tests.support.stack import wait_for
from z4j import clock
from z4j.app import Server
from z4j.appliance.data_folder import prepare_data
from z4j.rules.audit.checkpoints import Checkpoint, signed_text
from z4j.rules.audit.entries import AuditRow
from z4j.settings import Settings
from z4j.store.access import audit_checkpoints
from z4j.store.access.audit import AuditEntry, list_audit
from z4j.web.pages.settings.connection_strings import connect_app
from z4j.wire.frames import decode_frame
from z4j_agent import wire
from z4j_agent.wire import records

HELLO = {
    "type": "hello", "protocol": wire.PROTOCOL, "agent_version": "0.1.0", "boot": "b00t", "spool": "s1", "host": "h1", "pid": 7,
    "role": "worker", "worker": "w1", "environment": "production", "engines": {"celery": "5"}, "capabilities": [], "allow": "operate",
    "denied": [], "shipper": True, "at": 1_795_000_000_000_000,
}  # fmt: skip


class Site:
    """A running server with one app, spoken to by hand."""

    def __init__(self, server: Server, client: TestClient, token: str) -> None:
        self.server = server
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        assert self.client.portal is not None
        return self.client.portal.call(lambda: function(*args, **options))

    @contextlib.contextmanager
    def connect(self) -> Iterator[WebSocketTestSession]:
        """The test client ends an application that still writes down the end of the connection, and tells of that."""
        with contextlib.suppress(CancelledError), self.client.websocket_connect("/agent", headers=self.headers) as socket:
            yield socket

    def act(self, actor: str = "ada") -> None:
        """One row of the log under a checkpoint."""
        facts = {"at": clock.now(), "actor": actor, "role": "admin", "action": "setup", "target": "appliance"}
        self.call(self.server.audit.record, self.server.store, **facts)
        self.call(self.server.audit.sign_head, self.server.store, clock.now())

    def greet(self, kept: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """welcome.audit_head"""
        with self.connect() as socket:
            socket.send_text(json.dumps(HELLO | ({"audit_head": kept} if kept else {})))
            found: dict[str, Any] | None = json.loads(socket.receive_text())["audit_head"]
            return found

    def alarms(self) -> list[AuditRow]:
        rows: list[AuditRow] = self.call(list_audit, self.server.store)
        return [row for row in rows if row.action == "audit_head_missing"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    prepare_data(tmp_path)
    settings = Settings(data=tmp_path)
    create_database(settings.database)
    server = Server(settings)
    with TestClient(server.asgi) as client:
        assert client.portal is not None
        made = client.portal.call(connect_app, server.store, "shop", "h", "test")
        token = made.url.partition("//")[2].partition("@")[0].partition(".")[0]
        yield Site(server, client, token)


def test_an_empty_log_has_no_head(site: Site) -> None:
    assert site.greet() is None


def test_the_newest_head_is_shown_and_the_kept_one_confirmed(site: Site) -> None:
    site.act()
    first = site.greet()
    assert first is not None
    newest = site.call(audit_checkpoints.newest_checkpoint, site.server.store)
    assert (first["seq"], first["digest"], first["extends"]) == (newest.seq, newest.digest.hex(), None)
    assert site.server.audit.signer.why_not_ours(newest) == ""
    site.act()
    second = site.greet({"seq": first["seq"], "digest": first["digest"]})
    assert second is not None
    assert (second["seq"], second["extends"]) == (first["seq"] + 1, True)
    assert site.alarms() == []


@pytest.mark.parametrize(
    "kept",
    [{"seq": 1, "digest": "0" * 64}, {"seq": 4_000, "digest": "0" * 64}],
    ids=["rewritten", "rolled back"],
)
def test_a_head_that_is_not_in_the_log_is_an_alarm_once(site: Site, kept: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    site.act()
    for _ in range(3):
        answer = site.greet(kept)
        assert answer is not None
        assert answer["extends"] is False
    [alarm] = site.alarms()
    assert (alarm.actor, alarm.outcome, alarm.target) == ("agent on h1", "failed", "app:shop")
    assert json.loads(alarm.detail) == {"row": kept["seq"], "digest": kept["digest"], "spool": "s1"}
    assert "a row of the audit log that was sent to this agent is missing" in caplog.text


def test_a_log_that_lost_all_its_heads_says_so(site: Site) -> None:
    answer = site.greet({"seq": 3, "digest": "0" * 64})
    assert answer is not None
    assert (answer["seq"], answer["extends"]) == (1, False)  # the row of the alarm, and its checkpoint


def test_rows_cut_off_under_a_head_that_still_stands_are_noticed(site: Site) -> None:
    site.act()
    shown = site.greet()
    assert shown is not None
    site.call(site.server.store.write, lambda db: db.execute("DELETE FROM audit").rowcount)
    answer = site.greet({"seq": shown["seq"], "digest": shown["digest"]})
    assert answer is not None
    assert answer["extends"] is False


def test_an_idle_agent_is_shown_every_checkpoint_at_once(site: Site) -> None:
    """In an ack of what is acked already: an agent of any version takes it."""
    site.act()
    with site.connect() as socket:
        socket.send_text(json.dumps(HELLO))
        shown = json.loads(socket.receive_text())["audit_head"]["seq"]
        frames = []
        for seq in (1, 2):
            site.act()
            frames.append(json.loads(socket.receive_text()))
            socket.send_bytes(wire.pack_batch(seq, records.started("celery", f"t{seq}", 0, 1, "b00t.7", "n", "q")))
            frames.append(json.loads(socket.receive_text()))
    assert [(of["type"], of["seq"], of.get("audit_head", {}).get("seq")) for of in frames] == [
        ("ack", 0, shown + 1), ("ack", 1, None), ("ack", 1, shown + 2), ("ack", 2, None),
    ]  # fmt: skip
    witnesses = site.server.settings.data / "audit.witnesses"

    def shown_to() -> list[tuple[int, int]]:
        return [(line["seq"], line["agents"]) for line in map(json.loads, witnesses.read_text().splitlines())][-2:]

    wait_for(lambda: shown_to() == [(shown + 1, 1), (shown + 2, 1)], what="both are noted, which comes after they were shown")


def test_a_heartbeat_reports_what_the_agent_keeps(site: Site) -> None:
    site.act()
    beat = {"type": "heartbeat", "at": 1, "running": [], "spool_bytes": 0, "dropped": 0, "faults": 0, "shipper": True}
    with site.connect() as socket:
        socket.send_text(json.dumps(HELLO))
        shown = json.loads(socket.receive_text())["audit_head"]
        socket.send_text(json.dumps(beat | {"audit_head": {"seq": shown["seq"], "digest": shown["digest"]}}))
        socket.send_text(json.dumps(beat | {"audit_head": {"seq": 999, "digest": "0" * 64}}))
        frame = json.loads(socket.receive_text())  # the alarm is a row, which has a checkpoint
        assert frame["audit_head"]["seq"] == shown["seq"] + 1
    [alarm] = site.alarms()
    assert json.loads(alarm.detail)["row"] == 999
    assert site.server.audit.alarm is not None


def test_a_head_that_a_restore_abandoned_is_answered_with_the_restore(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.act()
    head = (9, bytes.fromhex("ab" * 32))

    def restore(db: Any) -> Any:
        row = site.server.audit.append_restore(db, abandoned=frozenset({head}), at=77, actor="root", target="file:x", detail={})
        return row, db.execute("SELECT at FROM audit WHERE seq = ?", (row.seq,)).fetchone()[0]

    row, at = site.call(site.server.store.write, restore, durable=True)
    site.server.audit.keep_head(row)
    caplog.set_level("INFO")
    for _ in range(2):
        answer = site.greet({"seq": 9, "digest": "ab" * 32})
        assert answer is not None
        assert (answer["extends"], answer["restored"]) == (False, {"row": row.seq, "at": at})
    assert caplog.text.count("that a restored backup abandoned") == 1
    assert site.alarms() == []
    assert site.server.audit.alarm is None
    answer = site.greet({"seq": 9, "digest": "cd" * 32})
    assert answer is not None
    assert "restored" not in answer
    assert len(site.alarms()) == 1


def test_a_checkpoint_that_a_browser_brought_back_counts_only_if_this_server_signed_it(site: Site) -> None:
    site.act()
    point = site.call(audit_checkpoints.newest_checkpoint, site.server.store)
    check = site.server.gateway.witnesses.check_browser
    assert site.call(check, "ada", point)
    assert site.call(check, "ada", dataclasses.replace(point, seq=77))  # not signed by this server: it proves nothing
    assert site.alarms() == []
    forged: Checkpoint = dataclasses.replace(point, number=9, seq=77)
    forged = dataclasses.replace(forged, signature=site.server.audit.signer._key.sign(signed_text(forged)).signature)
    assert not site.call(check, "ada", forged)
    assert site.alarms()[0].actor == "browser of ada"


@pytest.mark.parametrize(
    "kept", [{"seq": 0, "digest": "0" * 64}, {"seq": 1, "digest": "x" * 64}, {"seq": 1, "digest": "00"}, {"seq": 1}, 5]
)
def test_a_kept_head_has_one_shape(kept: Any) -> None:
    with pytest.raises(ValueError, match="audit_head"):
        decode_frame(json.dumps(HELLO | {"audit_head": kept}))


def test_the_last_rows_are_signed_when_the_server_stops(tmp_path: Path) -> None:
    prepare_data(tmp_path)
    settings = Settings(data=tmp_path)
    create_database(settings.database)
    server = Server(settings)
    with TestClient(server.asgi) as client:
        assert client.portal is not None
        for target in ("celery:1", "celery:2"):
            entry: AuditEntry = {"at": clock.now(), "actor": "ada", "role": "admin", "action": "retry_task", "target": target}
            client.portal.call(functools.partial(server.audit.record, server.store, **entry))
        newest = client.portal.call(audit_checkpoints.newest_checkpoint, server.store)
        assert newest is not None
        assert newest.seq == 1  # the second one waits
    assert server.audit.newest is not None
    assert server.audit.newest.seq == 2
