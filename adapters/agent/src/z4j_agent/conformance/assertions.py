# SPDX-License-Identifier: Apache-2.0
"""Assertions about reported records, and requests of the contract."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

from z4j_agent import wire
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import PATIENCE_S, Harness, Outcome, wait_for

ENDS = frozenset({"succeeded", "failed", "cancelled", "expired", "rejected", "lost"})
CLOCK_TOLERANCE_US = 200_000
"""Tolerance in microseconds: a producer's hook runs only after the broker has the message, so a fast worker may be earlier."""


def worker_link(gateway: Gateway) -> Link:
    """The newest open connection of a worker. Raises AssertionError if there is none within ten seconds."""

    def find() -> list[Link]:
        return [link for link in gateway.open_links() if link.hello["role"] == "worker"]

    return wait_for(find, "a worker is connected", seconds=10)[-1]


def note_of(gateway: Gateway, task_id: str) -> dict[str, Any]:
    """What a task has reported about itself, joined: of each value the latest."""
    note: dict[str, Any] = {"fields": {}, "ids": {}, "progress": [0, 0, None, ""], "excess": 0}
    for part in (r.meta["note"] for r in gateway.records(task_id) if "note" in r.meta):
        for kind in ("fields", "ids"):
            for name, value in part.get(kind, {}).items():
                note[kind][name] = max(note[kind].get(name, [0, ""]), value)
        note["progress"] = max(note["progress"], part.get("progress", note["progress"]), key=lambda progress: progress[0])
        note["excess"] = max(note["excess"], part.get("excess", 0))
    return note


def payload_of(gateway: Gateway, task_id: str) -> Record:
    payloads = wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "payload"], f"the arguments of {task_id}")
    return max(payloads, key=lambda record: record.rest["rank"])


def ended(gateway: Gateway, task_id: str, outcome: Outcome, *, seconds: float = PATIENCE_S) -> list[Record]:
    """Waits for the end of a task's expected last attempt. Returns its records in the order of their times.

    Every attempt's `enqueued` and `retried` are waited for as well: their process may be another one than that which ran the last attempt.
    """
    last = outcome.attempts - 1

    def find() -> list[Record]:
        records = gateway.records(task_id)
        is_over = any(r.kind in ENDS and r.attempt >= last for r in records)
        is_enqueued = not outcome.is_received or any(r.kind == "payload" for r in records)
        is_sent = {r.attempt for r in records if r.kind == "enqueued"} >= set(range(outcome.attempts))
        is_retried = {r.attempt for r in records if r.kind == "retried"} >= set(range(last))
        ordered = sorted((r for r in records if r.kind not in ("payload", "logged")), key=lambda r: (r.attempt, r.at))
        return ordered if is_over and is_enqueued and is_sent and is_retried else []

    try:
        return wait_for(find, "", seconds=seconds)
    except AssertionError:
        reported = [(record.kind, record.attempt) for record in gateway.records(task_id)]
        raise AssertionError(f"task {task_id} has not ended within {seconds} s; reported: {reported}") from None


def with_end(lines: list[Record]) -> list[Record]:
    """The log lines of a run, if the end of them is among them."""
    return sorted(lines, key=lambda r: r.rest["seq"]) if any(not r.rest["level"] for r in lines) else []


def check_outcome(harness: Harness, outcome: Outcome, kind: str, records: list[Record]) -> None:
    kinds = [(record.kind, record.attempt) for record in records]
    ends = {(r.kind, reason_of(r), r.attempt) for r in records if r.kind in ENDS}
    assert ends == {(outcome.end, outcome.reason, outcome.attempts - 1)}, kinds
    for attempt in range(outcome.attempts):
        reported = [k for k, a in kinds if a == attempt]
        assert reported.count("enqueued") == 1, kinds
        # Where the start follows in the same process at once, its record is also that of the receipt.
        assert bool({"received", "started"} & set(reported)) == outcome.is_received, kinds
        assert ("started" in reported) == outcome.is_started, kinds
        assert ("retried" in reported) == (attempt < outcome.attempts - 1), kinds
        check_order([record for record in records if record.attempt == attempt])
    assert {record.name for record in records} == {harness.name_of(kind)}
    assert {record.queue for record in records} == {harness.queue}
    end = next(record for record in records if record.kind in ENDS)
    if outcome.error_type:
        assert end.rest["error_type"] == outcome.error_type
    if outcome.is_timed and outcome.is_started:
        started = next(r for r in records if r.kind == "started" and r.attempt == end.attempt)
        assert end.rest["started_at"] == started.at
        assert 0 <= end.rest["runtime"] <= end.at - started.at + 50_000
        if not harness.runs_in_children:  # else the main process may report the receipt later than its child the end
            check_receipt(records, started, end)


def check_receipt(records: list[Record], started: Record, end: Record) -> None:
    """The end has the time of the receipt, if its kind has a field for it; without a record of its own it is just before the start."""
    receipts = [record.at for record in records if record.kind == "received" and record.attempt == end.attempt]
    at = end.rest.get("received_at")
    if "received_at" not in end.rest or (at is None and receipts):
        return
    assert at is not None, end
    if not receipts:
        assert 0 <= started.at - at <= CLOCK_TOLERANCE_US, (at, started)


def reason_of(record: Record) -> str:
    """The reason of an outcome; a success has a reason only if it is unusual."""
    return str(record.meta.get("reason", "") if record.kind == "succeeded" else record.rest.get("reason", ""))


def check_order(records: list[Record]) -> None:
    """enqueued, received, started, end: in that order of their times, whatever the order of arrival."""
    at = {record.kind: record.at for record in records}
    end = max((record.at for record in records if record.kind in ENDS or record.kind == "retried"), default=None)
    steps = [at.get("enqueued"), at.get("received"), at.get("started"), end]
    known = [step for step in steps if step is not None]
    for earlier, later in itertools.pairwise(known):
        assert earlier <= later + CLOCK_TOLERANCE_US, [(record.kind, record.at) for record in records]
    if "started" in at and end is not None:
        assert at["started"] <= end


def check_record(record: Record, engine: str, boots: set[str]) -> None:
    assert record.kind not in wire.SERVER_ONLY, record
    assert record.engine == engine
    assert record.task_id
    assert isinstance(record.attempt, int)
    assert record.attempt >= 0
    assert abs(record.at - time.time() * 1_000_000) < 900 * 1_000_000, "times are microseconds UTC"
    assert record.boot in boots, f"{record.run}: its boot has no origin"
    assert record.pid > 0
    assert set(record.meta) <= set(wire.META_KEYS)
    for key in ("received_at", "started_at", "eta"):
        value = record.rest.get(key)
        assert value is None or (isinstance(value, int) and value > 10**15), (key, value)
    runtime = record.rest.get("runtime")
    assert runtime is None or (isinstance(runtime, int) and runtime >= 0)


# -- requests---------------------------------------------------------------------------------------------------------
def is_declared(harness: Harness, action: str) -> bool:
    return action in {able.action for able in harness.adapter.capabilities} - harness.unsupported


def ask_retry(
    gateway: Gateway, harness: Harness, task_id: str, *, new_id: str = "", id: str = "", expires_in_s: float = 60
) -> tuple[str, str]:
    """(command id, id of the new task)."""
    payload = payload_of(gateway, task_id)
    key_id, original = payload.rest["original"] or (None, "")
    new_id = new_id or f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"
    params = {
        "task_id": task_id, "new_id": new_id, "name": payload.name, "queue": payload.queue, "original": original, "key_id": key_id,
    }  # fmt: skip
    link = worker_link(gateway)
    return gateway.ask(link, "retry_task", harness.adapter.engine, params, id=id, expires_in_s=expires_in_s), new_id


def ask_stack(gateway: Gateway, harness: Harness, task_id: str, process: str) -> tuple[str, dict[str, Any]]:
    """The result of `inspect_task`, from the process that is connected as the worker of the task."""
    links = [link for link in gateway.open_links() if link.hello["role"] == "worker"]
    link = next((link for link in links if link.hello["boot"] == process.rpartition(".")[0]), links[0])
    command_id = gateway.ask(link, "inspect_task", harness.adapter.engine, {"task_id": task_id, "process": process})
    return final_answer(gateway, command_id)


def final_answer(gateway: Gateway, command_id: str) -> tuple[str, dict[str, Any]]:
    """The result of a command; an executed one was `accepted` before."""
    status, facts = wait_for(
        lambda: [answer for answer in gateway.answers(command_id) if answer[0] != "accepted"], f"command {command_id} is answered"
    )[-1]
    if status in ("done", "failed"):
        assert gateway.answers(command_id)[0][0] == "accepted"
    return status, facts


def settle(gateway: Gateway, harness: Harness) -> None:
    """Runs one more task to its end: then all earlier records have arrived."""
    ended(gateway, harness.enqueue("succeed", "settle"), harness.outcomes["succeed"])


def proof_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def spooled(spool: Path, kind: str, *ids: str) -> int:
    """Number of records of this kind in the spool folder, sent or not; of the tasks `ids`, if given: an engine may run tasks of its own,
    such as one that is due every minute."""
    about = b"(?:" + b"|".join(re.escape(id.encode()) for id in ids) + b')"' if ids else b""
    mark, count = re.compile(b'\x1e\\["' + kind.encode() + b'","[^"]*","' + about), 0
    for path in spool.rglob("*.seg"):
        with contextlib.suppress(FileNotFoundError):  # sent or dropped meanwhile
            count += len(mark.findall(path.read_bytes()))
    return count


def keep_trace(gateway: Gateway, harness: Harness) -> None:
    """With Z4J_TRACES=<folder>, writes the reported records, one in each line, for tests that need real histories. Paths become file
    names."""
    folder = os.environ.get("Z4J_TRACES")
    if folder:
        lines = [json.dumps(fields) for fields in gateway.decoded() if fields[0] in wire.TASK_RECORDS]
        short = [re.sub(r'File \\"/[^"\\]*/', r'File \\"', line) for line in lines if len(line) < 4_000]
        Path(folder, f"{harness.adapter.engine}.jsonl").write_text("\n".join(short) + "\n", "utf-8")
