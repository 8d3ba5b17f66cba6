# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""What needs no worker: immediate mode, what is asked of a storage, traps, and taking everything off again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import huey as engine
import pytest
from huey import signals
from huey.consumer import Consumer

import z4j_agent
import z4j_huey
from z4j_agent.capture.guard import faults
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import wait_for
from z4j_agent.contract.adapter import Original, Refused
from z4j_huey import messages, originals
from z4j_huey.adapter import HueyAdapter


@dataclass
class Site:
    gateway: Gateway
    folder: Path

    def huey(self, name: str = "shop", **options: Any) -> Any:
        """A watched object on a file of its own."""
        made = engine.SqliteHuey(name, filename=str(self.folder / f"{name}.db"), **options)
        z4j_huey.install(made, url=self.gateway.url, spool=self.folder / "spool", environment="test", allow="all")
        return made

    def record_of(self, task_id: str, kind: str) -> Record:
        return wait_for(lambda: [r for r in self.gateway.records(task_id) if r.kind == kind], f"{kind} of {task_id}")[0]

    @property
    def adapter(self) -> HueyAdapter:
        agent = z4j_agent.current()
        assert agent is not None
        (adapter,) = agent.adapters
        assert isinstance(adapter, HueyAdapter)
        return adapter


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    gateway, before = Gateway(), faults.total
    gateway.start()
    try:
        yield Site(gateway, tmp_path)
        assert faults.total == before, faults.by_operation
    finally:
        z4j_agent.stop()
        gateway.stop()


def run_all(huey: Any) -> None:
    """What a worker of Huey does until the queue is empty."""
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


# -- immediate mode ----------------------------------------------------------------------------------------------------
def test_immediate_mode_is_told_as_eager(site: Site) -> None:
    huey = site.huey(immediate=True)

    @huey.task(retries=1, context=True)
    def flaky(word: str, task: Any = None) -> str:
        if task.retries:
            raise LookupError(word)
        return word

    result = flaky("second")
    assert result.get() == "second"
    assert site.record_of(result.id, "enqueued").meta["eager"] is True
    assert site.record_of(result.id, "retried").rest["error_type"] == "LookupError"
    assert site.record_of(result.id, "succeeded").attempt == 1


def test_a_retry_into_immediate_mode_is_refused(site: Site) -> None:
    huey = site.huey(immediate=True)
    huey.task(name="nothing")(lambda: None)
    with pytest.raises(Refused, match="immediate"):
        site.adapter.retry_task(Original("1", f"{__name__}.nothing", "shop", {"args": [], "kwargs": {}}), new_id="2")


# -- what is asked -----------------------------------------------------------------------------------------------------
def test_what_huey_knows_of_a_task(site: Site) -> None:
    huey = site.huey()

    @huey.task(retries=1, retry_delay=60)
    def work(value: Any) -> Any:
        if value == "bad":
            raise ValueError(value)
        return value

    ask = site.adapter.lookup_task
    done, none, bad, waiting = work(1), work(None), work("bad"), None
    assert ask(done.id) == {"state": "queued", "engine_state": "waiting"}
    run_all(huey)
    assert ask(done.id)["state"] == "succeeded"
    assert ask(done.id)["state"] == "succeeded", "asking has not taken the result"
    assert ask(none.id)["state"] == "unknown"
    assert ask(bad.id) == {"state": "queued", "engine_state": "waiting"}, "its next attempt is in the schedule"
    for task in huey.read_schedule(huey._get_timestamp() + timedelta(hours=1)):
        task.eta = None
        huey.execute(task)
    assert ask(bad.id)["state"] == "failed"
    waiting = work.schedule((2,), delay=60)
    site.adapter.cancel_task(waiting.id)
    assert ask(waiting.id) == {"state": "queued", "engine_state": "revoked"}
    assert done.get() == 1


def test_only_what_waits_is_revoked(site: Site) -> None:
    huey = site.huey()
    work = huey.task(name="work")(lambda: 1)
    done = work()
    run_all(huey)
    for task_id in (done.id, "never heard of"):
        with pytest.raises(Refused):
            site.adapter.cancel_task(task_id)
    assert not any(key.startswith("r:") for key in huey.all_results()), "no mark is left behind"


def test_queues_tell_what_is_delayed(site: Site) -> None:
    huey = site.huey()
    work = huey.task(name="work")(lambda: 1)
    work()
    work.schedule(delay=60)
    assert [(q.name, q.depth, q.delayed) for q in site.adapter.list_queues()] == [("shop", 2, 0)], "a worker has not seen it yet"
    run_all(huey)
    assert [(q.depth, q.delayed) for q in site.adapter.list_queues()] == [(0, 1)]


def test_several_objects_of_one_process(site: Site) -> None:
    first, second = site.huey("first"), site.huey("second")
    one, other = first.task(name="one")(lambda: 1), second.task(name="other")(lambda: 2)
    assert [q.name for q in site.adapter.list_queues()] == ["first", "second"]
    assert site.record_of(one().id, "enqueued").queue == "first"
    sent = other()
    assert site.record_of(sent.id, "enqueued").queue == "second"
    assert site.adapter.lookup_task(sent.id)["state"] == "queued"
    again = Original(sent.id, f"{__name__}.other", "second", {"args": [], "kwargs": {}})
    assert site.adapter.retry_task(again, new_id="again") == {"task_id": "again", "queue": "second"}
    assert site.record_of("again", "enqueued").meta["retry_of"] == sent.id
    assert second.pending_count() == 2
    with pytest.raises(Refused, match="third"):
        site.adapter.retry_task(Original("x", "y", "third", {}), new_id="z")
    z4j_huey.uninstall(first)
    assert [q.name for q in site.adapter.list_queues()] == ["second"]


# -- originals ---------------------------------------------------------------------------------------------------------
def test_what_json_cannot_hold_comes_back_as_it_was(site: Site) -> None:
    huey, seen = site.huey(), []

    @huey.task(retries=2)
    def keep(at: datetime, *rest: Any) -> None:
        seen.append((at, rest))

    at = datetime(2026, 11, 23, tzinfo=UTC)
    task = keep.s(at, (1, 2))
    body = huey.serialize_task(task)
    data = originals.payload_data(huey, task, task.kwargs)[0]
    with pytest.raises(Refused, match="not of shop"):
        originals.task_again(huey, Original(task.id, "shop.other", "shop", data or {}, is_bound=False), "new")
    made, note = originals.task_again(huey, Original(task.id, messages.name_of(task), "shop", data or {}), "new")
    huey.execute(made)
    assert (made.id, made.retries, note, len(body) > 0) == ("new", 2, "", True)
    assert seen == [(at, ((1, 2),))]


def test_a_task_that_is_not_registered_any_more_is_refused(site: Site) -> None:
    huey = site.huey()
    with pytest.raises(Refused, match="has no task"):
        originals.task_again(huey, Original("1", "shop.gone", "shop", {"args": [], "kwargs": {}}), "2")


# -- attempts ----------------------------------------------------------------------------------------------------------
def test_an_attempt_stands_behind_the_message(site: Site) -> None:
    huey, bare = site.huey(), engine.SqliteHuey("bare", filename=str(site.folder / "bare.db"))
    seen: list[dict[str, Any]] = []

    @huey.task(retries=2, context=True, name="work")
    def work(task: Any) -> None:
        seen.append({**vars(task)})

    bare._registry = huey._registry
    task = work.s(retries=0)
    plain = bare.serialize_task(task)
    huey.enqueue(task)
    (sent,) = huey.storage.enqueued_items()
    assert sent.startswith(plain)
    assert len(sent) == len(plain) + 6, "the retries left say attempt 2, and it is the first"
    taken = huey.dequeue()
    assert messages.attempt_of(taken) == 0
    huey.execute(taken)
    bare.execute(bare.deserialize_task(sent))
    assert seen[0] == seen[1] == {**vars(task)}, "a task sees the same with and without us"
    attempts = wait_for(
        lambda: [record.attempt for record in site.gateway.records(task.id) if record.kind == "started"], "its start is reported"
    )
    assert attempts == [0]


def test_a_worker_does_not_repeat_the_arguments_that_a_marked_message_s_producer_reports(site: Site) -> None:
    huey, bare = site.huey(), engine.SqliteHuey("bare", filename=str(site.folder / "bare.db"))
    seen: list[dict[str, Any]] = []

    @huey.task(context=True, name="work")
    def work(value: int, task: Any = None) -> None:
        seen.append({**vars(task)})

    bare._registry = huey._registry
    task = work.s(1)
    huey.enqueue(task)
    (sent,) = huey.storage.enqueued_items()
    assert sent == bare.serialize_task(task) + messages.REPORTED_TRAILER
    (pending,) = huey.pending()
    assert vars(pending) == vars(task), "who only looks at the queue sees nothing of the mark"
    huey.execute(taken := huey.dequeue())
    bare.execute(bare.deserialize_task(sent))
    assert seen[0] == seen[1], "nor does the task"
    assert "z4j" not in str(vars(taken))
    huey.storage.enqueue(bare.serialize_task(again := work.s(1)))  # by a producer that is not monitored
    run_all(huey)
    site.record_of(again.id, "succeeded")
    payloads = [(r.task_id, r.rest["rank"]) for r in site.gateway.records() if r.kind == "payload"]
    assert payloads == [(task.id, originals.BY_PRODUCER), (again.id, originals.BY_WORKER)]


def test_the_mark_is_kept_while_a_task_waits_for_its_time(site: Site) -> None:
    huey = site.huey()
    huey.task(name="work")(lambda: 1).schedule(delay=0.2)
    run_all(huey)  # to the schedule
    (due,) = wait_for(lambda: huey.read_schedule(huey._get_timestamp()), "it is due")
    huey.enqueue(due)
    run_all(huey)
    site.record_of(due.id, "succeeded")
    assert [r.rest["rank"] for r in site.gateway.records(due.id) if r.kind == "payload"] == [originals.BY_PRODUCER]
    assert "z4j" not in str(vars(due))


def test_a_hook_before_the_task_makes_the_receipt_known_at_once(site: Site) -> None:
    huey = site.huey()
    seen: list[str] = []
    work = huey.task(name="work")(lambda: seen.append("ran"))
    first = work()
    run_all(huey)
    huey.pre_execute("its own")(lambda task: wait_for(lambda: site.record_of(task.id, "received"), "its receipt is reported"))
    second = work()
    run_all(huey)
    received = site.record_of(second.id, "received")
    assert site.record_of(second.id, "succeeded").rest["received_at"] == received.at
    assert not [r for r in site.gateway.records(first.id) if r.kind == "received"]
    assert site.record_of(first.id, "succeeded").rest["received_at"] <= site.record_of(first.id, "started").at


@pytest.mark.parametrize("eta", [None, datetime(2026, 11, 23, 9, 0, 0, 123_000, UTC).replace(tzinfo=None)])
def test_an_attempt_in_the_eta_is_read_and_hidden(eta: datetime | None) -> None:
    """As agents before this one wrote it."""
    task = engine.MemoryHuey("shop").task(retries=2, name="work")(lambda: 1).s()
    at = datetime(2026, 11, 23, 9, 0, 1, tzinfo=UTC).replace(tzinfo=None)
    marked = eta or at - timedelta(hours=1)
    task.eta = marked.replace(microsecond=marked.microsecond // 1000 * 1000 + 7, fold=1)
    assert messages.attempt_of(task) == 7
    messages.hide_old_mark(task, at)
    assert task.eta == eta
    assert messages.attempt_of(task) == 0


def test_a_sender_s_task_is_left_as_it_was(site: Site) -> None:
    huey = site.huey()
    task = huey.task(retries=2, name="work")(lambda: 1).s(retries=0)
    before = {**vars(task)}
    huey.enqueue(task)
    assert vars(task) == before


@pytest.mark.parametrize("ending", [SystemExit(3), asyncio.CancelledError("gone")])
def test_what_is_no_exception_for_huey_is_told_as_what_it_is(site: Site, ending: BaseException) -> None:
    huey = site.huey()

    @huey.task(retries=2, name="leave")
    def leave() -> None:
        raise ending

    task = leave.s()
    huey.enqueue(task)
    with pytest.raises(type(ending)):
        huey.execute(huey.dequeue())
    failed = site.record_of(task.id, "failed")
    assert (failed.rest["error_type"], failed.meta.get("reason", "")) == (type(ending).__name__, "")


# -- do no harm --------------------------------------------------------------------------------------------------------
def test_a_broken_storage_is_the_sender_s_to_hear_of(site: Site) -> None:
    huey = site.huey()
    work = huey.task(name="work")(lambda: 1)

    def refuse(*_: Any) -> None:
        raise ConnectionError("no broker")

    huey.storage.enqueue = refuse
    task = work.s()
    with pytest.raises(ConnectionError, match="no broker"):
        huey.enqueue(task)
    del huey.storage.enqueue
    site.record_of(work().id, "enqueued")
    assert site.gateway.records(task.id) == [], "what no broker has was never enqueued"


def test_what_a_task_raises_is_huey_s_own(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback names no file of ours, in the log as in the stored result."""
    huey, bare = site.huey(), engine.SqliteHuey("bare", filename=str(site.folder / "bare.db"))
    tracebacks = []
    for each in (huey, bare):

        @each.task(name="work")
        def work() -> None:
            raise ValueError("no")

        with caplog.at_level(logging.ERROR):
            result = work()
            run_all(each)
        tracebacks.append(result.get_raw_result().metadata["traceback"])
    assert tracebacks[0] == tracebacks[1]
    assert caplog.text.count("ValueError: no") == 2
    assert "z4j" not in caplog.text


def test_uninstalled_it_is_as_if_it_had_never_been(site: Site) -> None:
    methods = {name: vars(Consumer)[name] for name in ("start", "check_worker_health")}
    bare = engine.SqliteHuey("shop", filename=str(site.folder / "other.db"))
    huey = site.huey()
    assert vars(huey).keys() != vars(bare).keys()
    assert vars(Consumer)["start"] is not methods["start"]
    z4j_huey.uninstall(huey)
    assert vars(huey).keys() == vars(bare).keys()
    assert {name: vars(Consumer)[name] for name in methods} == methods
    assert type(huey._tasks_in_flight) is set
    assert (huey._post_execute, huey._signal.receivers["any"]) == ({}, [])


def test_another_s_wrapper_on_top_survives_uninstalling(site: Site) -> None:
    huey = site.huey()
    inner, seen = huey.enqueue, []

    def mine(task: Any) -> Any:
        seen.append(task.id)
        return inner(task)

    huey.enqueue = mine
    work = huey.task(name="work")(lambda: 1)
    z4j_huey.uninstall(huey)
    task_id = work().id
    assert seen == [task_id]
    assert site.gateway.records(task_id) == []


# -- traps -------------------------------------------------------------------------------------------------------------
def whats(site: Site) -> str:
    return " ".join(finding.what for finding in site.adapter.findings() if finding.level != "ok")


def test_a_sound_object_has_no_findings(site: Site) -> None:
    site.huey()
    assert site.adapter.findings() == []


def test_immediate_mode_and_no_results_are_found(site: Site) -> None:
    site.huey(immediate=True, results=False)
    assert "immediate mode" in whats(site)
    assert "stores no results" in whats(site)


def test_pickles_in_an_open_redis_are_found(site: Site) -> None:
    z4j_huey.install(engine.RedisHuey("far", host="redis.example.com"), url=site.gateway.url, spool=site.folder / "spool")
    assert "pickles" in whats(site)


@pytest.mark.skipif(not hasattr(engine.api.Task, "default_timeout"), reason="timeouts came with Huey 3")
def test_time_limits_of_threads_are_found(site: Site) -> None:
    huey = site.huey()
    huey.task(name="slow", timeout=5)(lambda: 1)
    huey.periodic_task(engine.crontab(), name="often")(lambda: 1)
    (state,) = site.adapter.states
    state.lifecycle.consumer = Consumer(huey, worker_type="thread", check_worker_health=False)
    assert "timeout" in whats(site)
    assert "health check" in whats(site)
    assert any("no-periodic" in finding.remedy for finding in site.adapter.findings())


def test_signals_that_say_nothing_new_are_not_received(site: Site) -> None:
    """Every task sends them."""
    receivers = site.huey()._signal.receivers
    assert receivers["any"] == []
    assert not {signals.SIGNAL_ENQUEUED, signals.SIGNAL_COMPLETE} & {name for name, each in receivers.items() if each}
