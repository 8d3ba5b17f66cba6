# SPDX-License-Identifier: Apache-2.0
"""Constants of the wire protocol: record kinds, frame types, limits, close codes. Records and frames are described in the package."""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = 1
"""The protocol version of this end. The server supports this version and the one before."""

RECORD_START: Final = b"\x1e"
RECORD_END: Final = b"\n"

MAX_RECORD: Final = 512 * 1024
"""Bytes of one record. A writer shortens longer values; a reader refuses a longer record and counts it."""
MAX_BATCH: Final = 256 * 1024
"""Target size of one batch in bytes. One larger record may be sent alone, up to MAX_RECORD."""
MAX_FRAME: Final = 1024 * 1024
"""Maximum bytes of one WebSocket message, both ways; above it the connection is closed with TOO_BIG."""
WINDOW: Final = 4
"""Batches an agent may have sent and not yet acked."""

# -- task records ------------------------------------------------------------------------------------------------------
#: What follows the common head, per kind. `meta` is an object of optional facts (see META_KEYS) or null.
#: `usage`, what the run used, may be absent: [microseconds of CPU, whose (0 the process, 1 the thread), highest memory of the process in
#: KiB, its rise during the run in KiB, 1 if the process executes this run only]; -1 where a number is not measured.
TASK_RECORDS: Final[dict[str, tuple[str, ...]]] = {
    "enqueued": ("eta", "meta"),
    "received": ("eta", "meta"),
    "started": ("meta",),
    "succeeded": ("received_at", "started_at", "runtime", "result", "meta", "usage"),
    "failed": ("received_at", "started_at", "runtime", "reason", "error_type", "error", "traceback", "meta", "usage"),
    "retried": ("started_at", "runtime", "eta", "reason", "error_type", "error", "traceback", "meta", "usage"),
    "cancelled": ("started_at", "runtime", "reason", "error", "meta"),
    "expired": ("reason", "error", "meta"),
    "rejected": ("started_at", "runtime", "reason", "error", "traceback", "meta"),
    "payload": ("rank", "args", "masked", "original", "original_state", "broker"),
    "cancel_asked": ("command_id",),
    # An operator has moved it to another queue, the one in its head.
    "moved": ("command_id",),
    # An agent reports `lost` only for a process whose death it detected (a killed prefork child); the server for vanished ones.
    "lost": ("reason", "error"),
    # A log line of a run; with level 0 the end of its lines. `dropped` of its lines were dropped before. Not an event of the task.
    "logged": ("started_at", "seq", "level", "logger", "message", "dropped"),
    # Kinds that only the server adds; an agent that sends them is refused.
    "due": (),
    "alive": (),
}
SERVER_ONLY: Final = frozenset({"due", "alive"})

#: Optional fields of `meta`, short strings unless noted.
META_KEYS: Final = (
    "parent_id",
    "root_id",
    "group_id",
    "retry_of",  # the task this one is a retry of
    "code",  # module:line that enqueued it
    "route",  # the web route it was enqueued from
    "expires",  # integer microseconds UTC
    "priority",  # integer, the engine's own scale
    "label",  # the application's label of this task, besides its registered name
    "depends_on",  # list: IDs of the tasks that must end first
    "redelivered",  # true: the broker handed this delivery out before
    "eager",  # true: ran in the caller, no broker involved
    "reconciled",  # true: looked up in the engine afterwards
    "worker",  # name of the worker when the record is written by another process than the one that ran the task
    "note",  # of a copy of `started`: object, what the attempt reports about itself while it runs, see NOTE_KEYS
    "reason",  # why an outcome without a reason field of its own is unusual: succeeded/ignored, enqueued/blocked
)

#: Parts of a note, each optional.
NOTE_KEYS: Final = (
    "fields",  # {name: [when it was set, value]}: annotations
    "ids",  # the same of `trace_id` and `sentry_event_id`
    "progress",  # [when, done, total or null, text]
    "excess",  # how often an annotation was left out
)

# -- other records -----------------------------------------------------------------------------------------------------
#: ["origin", boot, at, {host, pid, role, worker, app, environment, release, engines}]: the writer of the following records.
#: A record's `run` is "<boot>.<pid>"; the boot names its origin. First record of every segment.
#: ["gap", key, at, {count, bytes, first_at, last_at, cause}]: dropped records; idempotent by key.
#: ["command", command_id, at, status, {detail}]: the result of a command; status is one of COMMAND_STATUS.
#: ["fault", key, at, {where, error, count}]: a fault of the agent itself, never of the host.
#: ["fired", run, at, {scheduler, schedule, due_at, task_id, outcome, error}]: a schedule was due; outcome is one of schedules.Outcome.
OTHER_RECORDS: Final[dict[str, tuple[str, ...]]] = {
    "origin": ("boot", "at", "facts"),
    "gap": ("key", "at", "facts"),
    "command": ("command_id", "at", "status", "facts"),
    "fault": ("key", "at", "facts"),
    "fired": ("run", "at", "facts"),
}
COMMAND_STATUS: Final = ("accepted", "done", "failed", "refused", "unsupported", "expired", "unknown")

# -- text frames -------------------------------------------------------------------------------------------------------
#: type → fields, agent to server. A field ending in "?" may be absent.
AGENT_FRAMES: Final[dict[str, tuple[str, ...]]] = {
    "hello": (
        "protocol", "agent_version", "boot", "spool", "host", "pid", "role", "worker?", "seat?", "app?", "environment", "release?",
        "engines", "capabilities", "allow", "denied", "seal_key?", "shipper", "at", "notes?", "audit_head?",
        "authenticates_originals?", "pins?", "redaction?", "brokers?",
    ),
    "discovery": ("engine", "tasks", "queues", "worker?", "brokers?"),
    "heartbeat": ("at", "running", "queues?", "spool_bytes", "dropped", "faults", "shipper", "audit_head?"),
    "schedules": (
        "scheduler", "engine", "store", "is_firing", "tick_us", "timezone", "can_create", "applied", "failed", "notes", "is_cut", "entries",
    ),
    "goodbye": ("reason",),
}  # fmt: skip
#: type → fields, server to agent.
SERVER_FRAMES: Final[dict[str, tuple[str, ...]]] = {
    "welcome": ("protocol", "server_version", "session", "at", "heartbeat_s", "window", "seal_key?", "audit_head?"),
    "ack": ("seq", "audit_head?"),
    "command": ("id", "action", "engine", "expires_at", "params"),
    "error": ("code", "message", "hint?"),
}

#: Close codes of the gateway (RFC 6455 private range) and their meanings.
CLOSE: Final[dict[int, str]] = {
    4400: "malformed frame",
    4401: "token unknown or revoked",
    4403: "this connection may not do that",
    4408: "no hello within ten seconds",
    4409: "the same process is already connected",
    4413: "frame too big",
    4426: "protocol version not served",
    4429: "too many attempts",
    4503: "server is stopping",
}
MALFORMED, BAD_TOKEN, FORBIDDEN, NO_HELLO, DUPLICATE, TOO_BIG, BAD_PROTOCOL, TOO_MANY, STOPPING = CLOSE
