# SPDX-License-Identifier: AGPL-3.0-or-later
"""Splits a row into events, for the rare id that was used again. A row keeps less than its events contained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from z4j.rules.tasks.fold import (
    ENDS,
    LOST,
    MAX_ATTEMPT,
    MOVED,
    NEVER,
    QUEUED,
    RETRYING,
    RUNNING,
    SOURCE,
    AttemptSummary,
    Event,
    Summary,
    attempt_of,
    is_end,
    state_of,
)
from z4j.rules.tasks.reused_ids.split_executions import SENDER
from z4j.rules.tasks.states import FLAGS

TELL_RECEIPT: Final = ("succeeded", "failed")
KIND_OF: Final = {code: kind for kind, code in ENDS.items()} | {LOST: "lost", RETRYING: "retried"}


def events_of(summary: Summary, runs: Iterable[tuple[int, str, AttemptSummary]]) -> list[Event]:
    """Events whose fold is this row, as far as they can be derived from it. `runs`: attempt, run token and what is kept of each run."""
    key, minus_at, token, worker, runtime_us, reason, error_type, error, result, usage = summary.state
    name = summary.name[1] if summary.name else ""
    queue = summary.queue[1] if summary.queue else ""
    environment = summary.environment[1] if summary.environment else ""
    flags = summary.flags & ~(FLAGS["unmarked"] | FLAGS["again"])
    received, start, eta = summary.received, summary.start, summary.eta
    attempt, code, at = attempt_of(key), state_of(key), -minus_at

    def make_event(kind: str, attempt: int, at: int, **facts: object) -> Event:
        about: dict[str, object] = {"environment": environment, "name": name, "queue": queue, **facts}
        return Event(kind, attempt, at, **about)  # type: ignore[arg-type]

    def eta_at(attempt: int) -> int:
        return eta[1] if eta and eta[0] == attempt else -1

    sent = summary.sent[1] if summary.sent else ()
    events: list[Event] = []
    if summary.enqueued_at != NEVER:
        events.append(make_event("enqueued", 0, summary.enqueued_at, eta=eta_at(0), sent=sent, reason=reason if code == QUEUED else ""))
        sent = ()
    if received:
        events.append(make_event("received", received[0], -received[1], sent=sent, eta=-1 if events else eta_at(received[0])))
        sent = ()
    run_events = [attempt_event(*run) for run in runs]
    traces = {(event.attempt, event.run, event.at): event.traceback for event in run_events}
    events += [event._replace(environment=environment, name=name, queue=queue) for event in run_events]
    if is_end(key) or code in (LOST, RUNNING) or (code == RETRYING and token):
        # What runs and did not start at that moment was found alive then; as a start of its own it would be another run.
        kind = KIND_OF.get(code) or ("started" if start == (attempt, -at) else "alive")
        is_over = is_end(key) or kind == "retried"
        facts = {
            "run": token, "worker": worker,
            "received_at": -received[1] if kind in TELL_RECEIPT and received and received[0] == attempt else -1,
            "started_at": -start[1] if is_over and start and start[0] == attempt else -1, "runtime_us": runtime_us, "reason": reason,
            "error_type": error_type, "error": error, "result": result, "flags": flags, "sent": sent,
            "eta": eta_at(attempt + 1) if kind == "retried" else -1, "traceback": traces.get((attempt, token, at), ""),
            "usage": usage,
        }  # fmt: skip
        events.append(make_event(kind, attempt, at, **facts))
        flags = 0
    elif attempt and code == RETRYING:
        events.append(make_event("enqueued", attempt, at, eta=eta_at(attempt), sent=sent))
    elif code == QUEUED and at == eta_at(attempt):
        events.append(make_event("due", attempt, at, run=token, worker=worker))
    if start and not any(event.attempt == start[0] and -start[1] in (event.started_at, event.at) for event in events):
        run_of = token if attempt == start[0] else ""
        events.append(make_event("started", start[0], -start[1], run=run_of, worker=worker if run_of else "", flags=flags))
        flags = 0
    if summary.name and summary.name[0] & 3 == SOURCE["enqueued"]:
        # A later attempt was enqueued, and its start hides when.
        later = summary.name[0] >> 2
        if not any(event.kind == "enqueued" and event.attempt == later for event in events):
            events.append(make_event("enqueued", later, -start[1] if start and start[0] == later else summary.last_at))
    if events:
        events[0] = events[0]._replace(flags=events[0].flags | flags)
    if summary.args:
        moments = {at for event in events for at in (event.at, event.started_at, event.received_at)}
        events += _payloads(summary, summary.args, environment, name, queue, moments)
    if events and summary.first_at < min(event.at for event in events):
        events.append(Event("moved", 0, summary.first_at))  # of an attempt that a later one hides; it moves nothing
    return [*events, *_by_operators(summary)] or [make_event("enqueued", attempt, summary.first_at)]


def _by_operators(summary: Summary) -> list[Event]:
    events = []
    if summary.cancel_asked_at != NEVER:
        events.append(Event("cancel_asked", 0, summary.cancel_asked_at))
    if summary.queue and summary.queue[0] >= MOVED:
        events.append(Event("moved", 0, (summary.queue[0] - MOVED) * 1000, queue=summary.queue[1]))
    return events


def attempt_event(attempt: int, token: str, run: AttemptSummary) -> Event:
    """Returns the event whose fold is the stored summary of this attempt."""
    key, minus_at, runtime_us, worker, reason, error_type, error, traceback, usage = run.state
    kind = KIND_OF.get(state_of(key)) or ("started" if run.started_at == -minus_at else "alive")
    return Event(
        kind, attempt, -minus_at, run=token, worker=worker, eta=run.eta_at, reason=reason,
        received_at=_known(run.received_at), started_at=_known(run.started_at), runtime_us=runtime_us, error_type=error_type, error=error,
        traceback=traceback, flags=run.flags, usage=usage,
    )  # fmt: skip


def _known(at: int) -> int:
    return -1 if at == NEVER else at


def _payloads(summary: Summary, args: tuple[int, str, bool], environment: str, name: str, queue: str, moments: set[int]) -> list[Event]:
    rank = args[0] & 255
    moment = next((at for at in (summary.last_at, summary.first_at) if at not in moments), None)
    if moment is None:
        # A producer reports them when it sends, a worker when it receives or starts.
        seen = summary.received or summary.start
        is_sent = rank >= SENDER and summary.enqueued_at != NEVER
        moment = summary.enqueued_at if is_sent else -seen[1] if rank < SENDER and seen else summary.first_at
    about = Event("payload", 0, moment, environment=environment, name=name, queue=queue)
    payloads = [about._replace(attempt=args[0] >> 8, rank=rank, args=args[1], is_masked=args[2])]
    if summary.original:
        kept = summary.original
        payloads.append(about._replace(attempt=kept >> 12 & MAX_ATTEMPT, rank=kept >> 4 & 255, original=kept & 15))
    return payloads
