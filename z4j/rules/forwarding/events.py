# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is forwarded, as JSON objects: one for each row of the audit log and each event of an alert. Everything is masked once more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from z4j.formats import iso
from z4j.rules.audit.entries import AuditRow
from z4j.text import Json
from z4j_agent.wire.redaction import redact, redact_text

FORMAT: Final = 1
_LEVELS: Final = {"critical": 2, "warning": 4, "info": 6}


class Outgoing(NamedTuple):
    """One object with its place in its stream. `severity` is that of syslog; `what` is the action or the kind, for the log."""

    stream: str
    seq: int
    id: str
    at: int
    severity: int
    what: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The object as one line of ASCII."""
        return json.dumps(self.body, separators=(",", ":"))


def of_audit(row: AuditRow, server: str) -> Outgoing:
    """Returns a row of the audit log; `server` is the address of this server."""
    id = f"audit-{row.seq}-{row.mac.hex()[:12]}"
    body = {
        "format": FORMAT, "stream": "audit", "id": id, "seq": row.seq, "at": iso(row.at), "at_us": row.at, "server": server,
        "actor": redact_text(row.actor), "role": row.role, "action": row.action, "target": redact_text(row.target),
        "outcome": row.outcome, "address": row.address, "detail": _masked(row.detail),
    }  # fmt: skip
    severity = {"done": 6, "refused": 4, "failed": 3}.get(row.outcome, 5)
    return Outgoing("audit", row.seq, id, row.at, severity, row.action, body)


def of_alert(seq: int, at: int, alert: int, kind: str, stored: Mapping[str, Any], server: str) -> Outgoing:
    """Returns an event of an alert; `stored` is the body of its message (`rules.alerts.message`)."""
    id = f"alert-{seq}-{at}"
    findings = [
        {
            **{key: redact_text(value) if isinstance(value, str) else value for key, value in each.items() if key != "href"},
            "url": _url(server, str(each.get("href", ""))),
        }
        for each in stored.get("findings", ())
    ]
    plain = {key: redact_text(value) if isinstance(value, str) else value for key, value in stored.items() if key not in ("findings", "at")}
    body = {
        **plain, "format": FORMAT, "stream": "alerts", "id": id, "seq": seq, "at": iso(at), "at_us": at, "server": server, "kind": kind,
        "alert": alert, "url": f"{server}/alerts/{alert}", "findings": findings,
    }  # fmt: skip
    severity = 5 if kind == "resolved" else _LEVELS.get(str(stored.get("severity", "")), 4)
    return Outgoing("alerts", seq, id, at, severity, kind, body)


def of_test(at: int, actor: str, server: str) -> Outgoing:
    """Returns what a test sends."""
    id = f"test-{at}"
    body = {
        "format": FORMAT, "stream": "test", "id": id, "seq": 0, "at": iso(at), "at_us": at, "server": server,
        "text": f"{actor} has tested this target.",
    }  # fmt: skip
    return Outgoing("test", 0, id, at, 6, "test", body)


def shortened(message: Outgoing, most: int) -> Outgoing:
    """Returns the message with a text of at most `most` bytes: details that do not fit are left out, and the message reports that."""
    if len(message.text) <= most:
        return message
    body = {key: value for key, value in message.body.items() if key not in ("detail", "findings")}
    body = {key: value[:300] if isinstance(value, str) else value for key, value in body.items()} | {"shortened": True}
    return message._replace(body=body)


def _masked(detail: str) -> Json:
    """As `store.access.audit` masks it: numbers are ids and counts, whatever their names."""
    try:
        found = json.loads(detail)
    except ValueError:  # of a damaged file: it is forwarded as text, so that it can be seen
        return redact_text(detail)
    if not isinstance(found, dict):
        return redact_text(detail)
    return {name: value if isinstance(value, (int, float)) else redact({name: value})[0][name] for name, value in found.items()}


def _url(server: str, href: str) -> str:
    return f"{server}{href}" if href.startswith("/") else href
