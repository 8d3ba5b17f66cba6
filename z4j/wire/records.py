# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines the records of the wire, one class for each kind: the checks of decoding, and the event for the fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta, Struct

from z4j.rules.tasks.fold import MAX_ATTEMPT, Event
from z4j.rules.tasks.states import ORIGINAL_STATES
from z4j.wire.annotation_records import Note
from z4j.wire.records_without_task import (
    At,
    CommandResult,
    Fault,
    FaultFacts,
    Fired,
    FiredFacts,
    Gap,
    GapFacts,
    Id,
    Name,
    Origin,
    OriginFacts,
)  # fmt: skip
from z4j.wire.texts import text
from z4j_agent.wire.redaction import redact_text

__all__ = [
    "At", "CommandResult", "Fault", "FaultFacts", "Fired", "FiredFacts", "Gap", "GapFacts", "Id", "Name", "Origin", "OriginFacts",
]  # fmt: skip
"""Names of `records_without_task` that are found here, too."""

MAX_RUNTIME_US: Final = 1 << 53
ARGS_LIMIT, RESULT_LIMIT, ERROR_LIMIT, TRACEBACK_LIMIT, REASON_LIMIT = 2_000, 2_000, 4_000, 64_000, 200
MESSAGE_LIMIT, LOGGER_LIMIT = 2_000, 100

Attempt = Annotated[int, Meta(ge=0, lt=1 << 31)]
Runtime = Annotated[int, Meta(ge=0, lt=MAX_RUNTIME_US)]
Rank = Annotated[int, Meta(ge=0, le=255)]
_Number = Annotated[int, Meta(ge=-1, lt=MAX_RUNTIME_US)]
Usage = Annotated[list[_Number], Meta(min_length=5, max_length=5)]
"""See `fold.Usage`."""
_new = tuple.__new__  # makes a NamedTuple at half the price of calling its class


Sent = tuple[str, str, str, str, str, str, int, int, str, str] | tuple[()]


class Facts(Struct, gc=False, frozen=True):
    """The optional facts of a record (`z4j_agent.wire.META_KEYS`); unknown ones are left for newer servers."""

    parent_id: Name | None = None
    root_id: Name | None = None
    group_id: Name | None = None
    retry_of: Name | None = None
    code: Name | None = None
    route: Name | None = None
    expires: At | None = None
    priority: Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)] | None = None
    label: Name | None = None
    depends_on: Annotated[list[Id], Meta(max_length=20)] = []
    redelivered: bool = False
    eager: bool = False
    reconciled: bool = False
    worker: Name | None = None
    reason: Name | None = None
    note: Note | None = None

    def flags(self) -> int:
        """The flags, as in states.FLAGS."""
        return self.redelivered | self.eager << 1 | self.reconciled << 2

    def sent(self, task_id: str) -> Sent:
        """The origin of the task; () if nothing is reported, also for a task that is its own root."""
        sent = (
            self.parent_id or "",
            "" if self.root_id == task_id else self.root_id or "",
            self.group_id or "",
            self.retry_of or "",
            self.code or "",
            self.route or "",
            -1 if self.expires is None else self.expires,
            NO_PRIORITY if self.priority is None else self.priority,
            redact_text(self.label) if self.label else "",
            "\n".join(self.depends_on),
        )
        return () if sent == NOTHING_SENT else sent


NO_PRIORITY: Final = -(1 << 31) - 1
"""Below any priority an engine can hold: not said."""
NOTHING_SENT: Final = ("", "", "", "", "", "", -1, NO_PRIORITY, "", "")


def whole_sent(stored: Sequence[Any]) -> tuple[Any, ...]:
    """Returns a `Sent` from its stored form, which has no empty end or is of a release with fewer fields."""
    return (*stored, *NOTHING_SENT[len(stored) :])


class TaskRecord(Struct, array_like=True, gc=False, frozen=True):
    """The head every task record shares, see `z4j_agent.wire.TASK_RECORDS`."""

    engine: Id
    task_id: Id
    attempt: Attempt
    at: At
    run: Name
    name: Name
    queue: Name

    kind: ClassVar[str] = ""

    def event(self, worker: str, environment: str) -> Event:
        """This record for the fold. `worker` and `environment` are those of the boot that wrote it."""
        raise NotImplementedError

    def _step(self, worker: str, environment: str, eta: int | None = None) -> Event:
        """Returns the event of a record that reports nothing but its moment. Most do."""
        attempt = self.attempt
        return _new(
            Event,
            (
                self.kind, attempt if attempt <= MAX_ATTEMPT else MAX_ATTEMPT, self.at, self.run, worker, environment,
                self.name, self.queue,
                -1 if eta is None else eta, -1, -1, -1, "", "", "", "", "", (), 0, "", False, 0, 0, (),
            ),
        )  # fmt: skip

    def _event(
        self, worker: str, environment: str, facts: Facts | None, eta: int | None = None, received_at: int | None = None,
        started_at: int | None = None, runtime_us: int | None = None, reason: str | None = None,
        error_type: str | None = None, error: str | None = None, result: str | None = None, traceback: str | None = None,
        usage: Sequence[int] | None = None,
    ) -> Event:  # fmt: skip
        sent: Sent = ()
        flags = 0
        if facts is not None:
            sent = facts.sent(self.task_id)
            flags = facts.flags()
            worker = facts.worker or worker
        attempt = self.attempt
        return _new(
            Event,
            (
                self.kind, attempt if attempt <= MAX_ATTEMPT else MAX_ATTEMPT, self.at, self.run, worker, environment,
                self.name, self.queue,
                -1 if eta is None else eta,
                -1 if received_at is None else received_at,
                -1 if started_at is None else started_at,
                -1 if runtime_us is None else runtime_us,
                text(reason, REASON_LIMIT) if reason else "",
                text(error_type, REASON_LIMIT) if error_type else "",
                text(error, ERROR_LIMIT) if error else "",
                text(result, RESULT_LIMIT) if result else "",
                text(traceback, TRACEBACK_LIMIT) if traceback else "",
                sent, 0, "", False, 0, flags, tuple(usage) if usage else (),
            ),
        )  # fmt: skip


class Enqueued(TaskRecord, array_like=True, tag="enqueued", gc=False, frozen=True):
    eta: At | None
    meta: Facts | None

    kind: ClassVar[str] = "enqueued"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        if self.meta is None:
            return self._step(worker, environment, self.eta)
        return self._event(worker, environment, self.meta, self.eta, reason=self.meta.reason)


class Received(TaskRecord, array_like=True, tag="received", gc=False, frozen=True):
    eta: At | None
    meta: Facts | None

    kind: ClassVar[str] = "received"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        if self.meta is None:
            return self._step(worker, environment, self.eta)
        return self._event(worker, environment, self.meta, self.eta)


class Started(TaskRecord, array_like=True, tag="started", gc=False, frozen=True):
    meta: Facts | None

    kind: ClassVar[str] = "started"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        if self.meta is None:
            return self._step(worker, environment)
        return self._event(worker, environment, self.meta)


class Succeeded(TaskRecord, array_like=True, tag="succeeded", gc=False, frozen=True):
    received_at: At | None
    started_at: At | None
    runtime: Runtime | None
    result: str | None
    meta: Facts | None
    usage: Usage | None = None
    """None of an older agent, and where it was not measured. In the next two records, too."""

    kind: ClassVar[str] = "succeeded"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(
            worker,
            environment,
            self.meta,
            None,
            self.received_at,
            self.started_at,
            self.runtime,
            reason=self.meta.reason if self.meta else None,
            result=self.result,
            usage=self.usage,
        )


class Failed(TaskRecord, array_like=True, tag="failed", gc=False, frozen=True):
    received_at: At | None
    started_at: At | None
    runtime: Runtime | None
    reason: str | None
    error_type: str | None
    error: str | None
    traceback: str | None
    meta: Facts | None
    usage: Usage | None = None

    kind: ClassVar[str] = "failed"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(
            worker, environment, self.meta, None, self.received_at, self.started_at, self.runtime, self.reason,
            error_type=self.error_type, error=self.error, traceback=self.traceback, usage=self.usage,
        )  # fmt: skip


class Retried(TaskRecord, array_like=True, tag="retried", gc=False, frozen=True):
    started_at: At | None
    runtime: Runtime | None
    eta: At | None
    reason: str | None
    error_type: str | None
    error: str | None
    traceback: str | None
    meta: Facts | None
    usage: Usage | None = None

    kind: ClassVar[str] = "retried"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(
            worker, environment, self.meta, self.eta, None, self.started_at, self.runtime, self.reason,
            error_type=self.error_type, error=self.error, traceback=self.traceback, usage=self.usage,
        )  # fmt: skip


class Cancelled(TaskRecord, array_like=True, tag="cancelled", gc=False, frozen=True):
    started_at: At | None
    runtime: Runtime | None
    reason: str | None
    error: str | None
    meta: Facts | None

    kind: ClassVar[str] = "cancelled"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(worker, environment, self.meta, None, None, self.started_at, self.runtime, self.reason, error=self.error)


class Expired(TaskRecord, array_like=True, tag="expired", gc=False, frozen=True):
    reason: str | None
    error: str | None
    meta: Facts | None

    kind: ClassVar[str] = "expired"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(worker, environment, self.meta, reason=self.reason, error=self.error)


class Rejected(TaskRecord, array_like=True, tag="rejected", gc=False, frozen=True):
    started_at: At | None
    runtime: Runtime | None
    reason: str | None
    error: str | None
    traceback: str | None
    meta: Facts | None

    kind: ClassVar[str] = "rejected"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(
            worker, environment, self.meta, None, None, self.started_at, self.runtime, self.reason, error=self.error,
            traceback=self.traceback,
        )  # fmt: skip


class Payload(TaskRecord, array_like=True, tag="payload", gc=False, frozen=True):
    rank: Rank
    args: str | None
    masked: bool
    original: tuple[Name | None, bytes] | None
    original_state: str
    broker: Name | None = None
    """Of the original, None of an older agent."""

    kind: ClassVar[str] = "payload"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        state = ORIGINAL_STATES.get(self.original_state, 0)
        if self.original is None and state >= ORIGINAL_STATES["plain"]:
            state = 0
        attempt = self.attempt
        return _new(
            Event,
            (
                self.kind, attempt if attempt <= MAX_ATTEMPT else MAX_ATTEMPT, self.at, self.run, worker, environment,
                self.name, self.queue, -1, -1, -1, -1, "", "", "", "", "", (),
                self.rank, text(self.args, ARGS_LIMIT), self.masked, state, 0, (),
            ),
        )  # fmt: skip


class CancelAsked(TaskRecord, array_like=True, tag="cancel_asked", gc=False, frozen=True):
    command_id: Name | None

    kind: ClassVar[str] = "cancel_asked"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(worker, environment, None)


class Moved(TaskRecord, array_like=True, tag="moved", gc=False, frozen=True):
    command_id: Name | None

    kind: ClassVar[str] = "moved"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(worker, environment, None)


class Lost(TaskRecord, array_like=True, tag="lost", gc=False, frozen=True):
    reason: str | None
    error: str | None

    kind: ClassVar[str] = "lost"

    def event(self, worker: str, environment: str) -> Event:
        """Returns the event for the fold."""
        return self._event(worker, environment, None, reason=self.reason, error=self.error)


class Logged(TaskRecord, array_like=True, tag="logged", gc=False, frozen=True):
    """A log line of a run, or with level 0 the end of its lines. It is no event of the task, see `store.logs.log_lines`."""

    started_at: At | None
    seq: Annotated[int, Meta(ge=0, lt=1 << 31)]
    level: Annotated[int, Meta(ge=0, le=255)]
    logger: str
    message: str
    dropped: Annotated[int, Meta(ge=0, lt=1 << 31)]

    kind: ClassVar[str] = "logged"


AnyTask = (
    Enqueued
    | Received
    | Started
    | Succeeded
    | Failed
    | Retried
    | Cancelled
    | Expired
    | Rejected
    | Payload
    | CancelAsked
    | Moved
    | Lost
    | Logged
)
AnyRecord = AnyTask | Origin | Gap | CommandResult | Fault | Fired


def shown(value: str | None, limit: int) -> str:
    """Returns a text of the host as it is stored: redacted again, because an agent may be older than a rule, or not ours."""
    return text(redact_text(value), limit) if value else ""


def redacted(record: TaskRecord) -> TaskRecord:
    """Returns the record with its texts redacted again before they are cut, because an agent may be older than a rule, or not ours."""
    fields: dict[str, Any] = _redacted(record, ("args", "result", "reason", "error_type", "error", "traceback", "logger", "message"))
    meta = getattr(record, "meta", None)
    if meta is not None and (of_meta := _redacted(meta, ("route", "reason"))):
        fields["meta"] = msgspec.structs.replace(meta, **of_meta)
    return msgspec.structs.replace(record, **fields) if fields else record


def _redacted(struct: Struct, names: Sequence[str]) -> dict[str, str]:
    return {name: redact_text(value) for name in names if (value := getattr(struct, name, None))}
