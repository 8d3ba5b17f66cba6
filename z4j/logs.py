# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every log sentence of the product, with its level and fields. Code calls these functions; nothing else formats a log line.

Ids always, arguments never. Nothing is logged per event at INFO.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from z4j.text import JsonObject, clean, clean_lines

_server = logging.getLogger("z4j.server")
_access = logging.getLogger("z4j.access")
_gateway = logging.getLogger("z4j.gateway")
_commands = logging.getLogger("z4j.commands")
_background = logging.getLogger("z4j.background")
_store = logging.getLogger("z4j.store")


class KeyValue(logging.Formatter):
    """`2026-11-23T04:00:00.123Z INFO z4j.server started port=7700`"""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record as key=value."""
        facts: JsonObject = getattr(record, "facts", {})
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in facts.items())
        text = f"{self.formatTime(record)} {record.levelname} {record.name} {clean(record.getMessage())}{pairs}"
        return f"{text}\n{clean_lines(self.formatException(record.exc_info))}" if record.exc_info else text


class Json(KeyValue):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record as one line of JSON."""
        line = {"at": self.formatTime(record), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | getattr(record, "facts", {}), default=str)


class Throttle(logging.Filter):
    """Limits the lines of one kind per period; the next line of the kind contains the number that were left out.

    A kind is the logger, the level and the sentence, so that a client that causes a line a thousand times a second writes only a few."""

    def __init__(self, lines: int = 50, period_s: float = 10.0) -> None:
        super().__init__()
        self._lines = lines
        self._period_s = period_s
        self._kinds: dict[tuple[object, ...], list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a record is written now."""
        facts: JsonObject = getattr(record, "facts", {})
        if record.levelno < logging.WARNING and facts.get("who") != "-":
            return True
        kind = (record.name, record.levelno, str(record.msg).partition("\n")[0][:200])
        if kind not in self._kinds and len(self._kinds) >= 1_000:
            self._kinds.clear()
        until, count = self._kinds.get(kind, (0.0, 0.0))
        if record.created >= until:
            if count > self._lines:
                record.facts = facts | {"left_out": int(count - self._lines)}
            self._kinds[kind] = [record.created + self._period_s, 1.0]
            return True
        self._kinds[kind] = [until, count + 1]
        return count < self._lines


def _quoted(value: object) -> str:
    text = clean(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or any(letter in text for letter in ' "=\\') else text


def set_up(level: str = "INFO", *, is_json: bool = False) -> None:
    """Configures logging to stderr. Called once, by the command line."""
    formatter = Json() if is_json else KeyValue()
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Throttle())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class Sparse:
    """Passes one line per minute for each key, so that repeated failures do not fill the disk."""

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._last: dict[str, tuple[float, int]] = {}

    def take(self, key: str) -> int | None:
        """Returns how many lines were left out since the last one; None if this one is left out too."""
        at = time.monotonic()
        last, left_out = self._last.get(key, (-self._every_s, 0))
        if at - last < self._every_s:
            self._last[key] = (last, left_out + 1)
            return None
        if len(self._last) >= 100:
            self._last.clear()
        self._last[key] = (at, 0)
        return left_out


_not_recorded = Sparse()


def started(address: str, data: object, version: str) -> None:
    """Logs that the server listens."""
    _server.info("started", extra={"facts": {"address": address, "data": data, "version": version}})


def stopping() -> None:
    """Logs that the server stops."""
    _server.info("stopping; agents keep their events and reconnect")


def unexpected(request_id: str, path: str, error: BaseException) -> None:
    """Logs an unexpected error with its traceback."""
    _server.error("unexpected error", exc_info=error, extra={"facts": {"request": request_id, "path": path}})


def access(method: str, path: str, status: int, us: int, who: str, request_id: str) -> None:
    """Logs a request. `us` is its duration in microseconds."""
    facts = {"method": method, "path": path, "status": status, "ms": f"{us / 1000:.2f}", "who": who, "request": request_id}
    _access.info("request", extra={"facts": facts})


def agent_connected(app: str, boot: str, host: str, pid: int, worker: str) -> None:
    """Logs that an agent connected."""
    _gateway.info("agent connected", extra={"facts": {"app": app, "boot": boot, "host": host, "pid": pid, "worker": worker}})


def agent_left(boot: str, reason: str) -> None:
    """Logs that an agent disconnected."""
    _gateway.info("agent disconnected", extra={"facts": {"boot": boot, "reason": reason}})


def agent_refused(address: str, code: int, why: str) -> None:
    """Logs that a connection of an agent was refused."""
    _gateway.warning("agent refused", extra={"facts": {"address": address, "code": code, "why": why}})


def connection_refused(address: str, why: str) -> None:
    """Logs that a connection was refused."""
    _gateway.info("connection closed", extra={"facts": {"address": address, "why": why, "who": "-"}})


def handshake_failed(address: str, why: str) -> None:
    """Logs that a connection ended before TLS was established, once a minute for each address and cause."""
    if _not_recorded.take(f"handshake {address} {why}") is not None:
        _gateway.info("TLS handshake failed", extra={"facts": {"address": address, "why": why, "who": "-"}})


def plain_request(address: str, *, is_exposed: bool) -> None:
    """Logs a request without TLS that was refused. A credential in it was readable on the network."""
    if is_exposed:
        _gateway.warning(
            "a request without TLS was refused. It contained a credential: revoke the credential", extra={"facts": {"address": address}}
        )
    elif _not_recorded.take(f"plain {address}") is not None:
        _gateway.warning("a request without TLS was refused", extra={"facts": {"address": address}})


def certificate_changed(fingerprint: str, days: int) -> None:
    """Logs that another certificate is served from now on."""
    _server.info("serving another certificate", extra={"facts": {"fingerprint": fingerprint, "days_left": days}})


def not_notified(what: str, why: str) -> None:
    """Logs that a state could not be reported to the service manager, once a minute."""
    if _not_recorded.take(f"notify {what} {why}") is not None:
        _server.warning("the service manager could not be notified", extra={"facts": {"state": what, "why": why}})


def token_ended(app: str, boot: str) -> None:
    """Logs that a connection was closed because its token is no longer valid."""
    _gateway.info("agent connection closed: token revoked or expired, or app disabled", extra={"facts": {"app": app, "boot": boot}})


def records_refused(app_id: int, refused: dict[str, int]) -> None:
    """Logs refused records of an app by cause."""
    facts = {"app": app_id, **{cause.replace(" ", "_"): count for cause, count in refused.items()}}
    _gateway.warning("records refused; other records of the batch were stored", extra={"facts": facts})


def audit_altered(row: int, why: str) -> None:
    """Logs that the audit log is not intact."""
    facts = {"row": row, "why": why}
    _server.error(
        "the audit log could not be verified. No checkpoints are signed from this row on. Run `z4j audit verify`", extra={"facts": facts}
    )


def audit_in_order(rows: int) -> None:
    """Logs that the audit log is intact again."""
    _server.info("the audit log was verified and is intact again", extra={"facts": {"rows": rows}})


def audit_not_remembered(why: str) -> None:
    """Logs that the files beside the database could not be written."""
    _server.error("the last row of the audit log is committed, but audit.head could not be written", extra={"facts": {"why": why}})


def audit_not_written(action: str, target: str, why: str, **more: Any) -> None:
    """Logs an audit row that could not be stored. Each of them is logged, because the line replaces the row."""
    facts = {"action": action, "target": target, "why": why, **more}
    _server.error("a row of the audit log could not be written; the request itself was answered", extra={"facts": facts})


def audit_head_missing(app: str, host: str, seq: int) -> None:
    """Logs that an agent remembers a row that the audit log does not contain."""
    facts = {"app": app, "host": host, "row": seq}
    _gateway.error("a row of the audit log that was sent to this agent is missing. Run `z4j audit verify`", extra={"facts": facts})


def audit_head_abandoned(app: str, host: str, seq: int, restore: int) -> None:
    """Logs that an agent remembers a row that a restored backup abandoned."""
    facts = {"app": app, "host": host, "row": seq, "restored_by": restore}
    _gateway.info("an agent stores a row of the audit log that a restored backup abandoned", extra={"facts": facts})


def command_sent(command_id: str, action: str, boot: str) -> None:
    """Logs that a command was sent to an agent."""
    _commands.info("command sent", extra={"facts": {"id": command_id, "action": action, "boot": boot}})


def duty_failed(duty: str, why: str, retry_s: float, error: BaseException | None) -> None:
    """Logs that a duty failed, once for each cause; `error` adds a traceback unless it is a known cause of the storage."""
    facts = {"duty": duty, "why": why, "retry_s": round(retry_s, 1)}
    _background.error("background duty failed; retrying", exc_info=error, extra={"facts": facts})


def duty_recovered(duty: str, failures: int, seconds: int) -> None:
    """Logs that a duty succeeded again."""
    _background.info("background duty recovered", extra={"facts": {"duty": duty, "failures": failures, "seconds": seconds}})


def clock_set(by_us: int) -> None:
    """Logs a step of the wall clock."""
    _background.warning("the clock was set, or the machine was suspended", extra={"facts": {"seconds": round(by_us / 1_000_000)}})


def retention_waits(seconds: int) -> None:
    """Logs that the clock is far ahead of the time that retention trusts."""
    text = "the clock is far ahead of the last running time; retention waits three days before it deletes by the new time"
    _background.warning(text, extra={"facts": {"seconds": seconds}})


def due_times_taken_back(schedules: int) -> None:
    """Logs that schedules were decided again after the clock was set back."""
    _background.warning("the clock was set back; schedules continue from the new time", extra={"facts": {"schedules": schedules}})


def backup_results_rebuilt(why: str, aside: str) -> None:
    """Logs that the damaged results of backups were set aside and written again."""
    text = "the file of backup results was damaged. It was moved aside and recreated from the backup files"
    _background.warning(text, extra={"facts": {"why": why, "set_aside": aside}})


def backup_failed(why: str) -> None:
    """Logs that a nightly backup failed."""
    _background.error("the nightly backup failed; retrying in an hour", extra={"facts": {"why": why}})


def message_not_delivered(channel: str, message: str, why: str, *, is_given_up: bool) -> None:
    """Logs that a message of an alert did not arrive: the first time, and when it is given up."""
    facts = {"channel": channel, "message": message, "why": why}
    if is_given_up:
        _background.error("an alert message was not delivered within three days and is not retried again", extra={"facts": facts})
    else:
        _background.warning("an alert message was not delivered; retrying", extra={"facts": facts})


def forwarding_failed(target: str, why: str) -> None:
    """Logs that a target of forwarding did not get a batch: the first time."""
    _background.warning("forwarding to a target failed; retrying", extra={"facts": {"target": target, "why": why}})


def session_not_stored(why: str) -> None:
    """Logs that the session of a connection could not be stored."""
    _server.error(
        "a session could not be stored in the database and is kept in memory until the server stops", extra={"facts": {"why": why}}
    )


def command_not_sent(command_id: str, why: str) -> None:
    """Logs that a command is committed but could not be sent; it is sent later."""
    _commands.error("a command could not be marked as sent; it will be sent later", extra={"facts": {"id": command_id, "why": why}})


def batch_failed(app_id: int, error: BaseException) -> None:
    """Logs a defect in z4j; the records of the batch are then stored one by one."""
    _gateway.error(
        "a batch could not be stored as a whole; storing its records one by one", exc_info=error, extra={"facts": {"app": app_id}}
    )


def write_failed(writes: int, left_out: int, why: str) -> None:
    """Logs a failed write, once for each cause and minute; `left_out` groups failed for the same cause since the last line."""
    _store.error(
        "writes to the database failed and were rolled back", extra={"facts": {"writes": writes, "left_out": left_out, "why": why}}
    )


def not_recorded(what: str, why: str, facts: JsonObject) -> None:
    """Logs that optional data could not be written; its request continued. Logged once a minute for each kind and cause."""
    if _not_recorded.take(f"{what} {why}") is None:
        return
    _store.error("not written to the database; the request continued", extra={"facts": {"what": what, "why": why, **facts}})
