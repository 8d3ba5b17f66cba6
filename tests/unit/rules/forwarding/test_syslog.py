# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages are those of RFC 5424, whatever a row contains, and frames those of RFC 6587."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.syslog import frames_of, parse
from tests.unit.rules.forwarding.test_events import ROW, SERVER
from z4j.rules.forwarding.events import of_audit
from z4j.rules.forwarding.syslog import LONGEST, counted, field, message


def test_a_message() -> None:
    found = parse(message(of_audit(ROW, SERVER), "host-1", 42))
    assert (found.facility, found.severity, found.host, found.app, found.pid, found.id) == (13, 6, "host-1", "z4j", "42", "audit")
    assert found.at == datetime.fromtimestamp(ROW.at / 1_000_000, UTC)
    assert found.body["seq"] == 7
    assert found.data.startswith('[origin software="z4j" swVersion="')


@given(st.text(), st.text(max_size=300), st.text())
@settings(deadline=None)
def test_any_text_gives_one_valid_message(actor: str, host: str, target: str) -> None:
    row = replace(ROW, actor=actor.encode("utf-8", "replace").decode(), target=target.encode("utf-8", "replace").decode())
    frame = message(of_audit(row, SERVER), host, 1)
    assert parse(frame).body["action"] == "sign_in"
    assert frames_of(counted(frame) + counted(frame)) == [frame, frame]


def test_fields_of_the_header() -> None:
    assert field("host with ü blanks", 255) == "hostwithblanks"
    assert field("", 255) == "-"
    assert len(field("a" * 999, 255)) == 255
    assert field("~ !\x7f\t", 9) == "~!", "the first and the last letter of printable ASCII"
    assert LONGEST == 8_000
    parts = message(of_audit(ROW, SERVER)._replace(stream="s" * 40), "h" * 300, 1).decode().split(" ")
    assert (len(parts[2]), len(parts[5])) == (255, 32), "the limits of RFC 5424"
    assert parse(message(of_audit(ROW, SERVER)._replace(stream="alerts"), "h", 1)).facility == 16
