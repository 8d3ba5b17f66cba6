# SPDX-License-Identifier: Apache-2.0
"""What every adapter must do, as pytest tests against the engine's own workers.

The first half shares one worker and one gateway per class; the second half kills them or takes their resources, so each test has its own.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent import wire
from z4j_agent.conformance.assertions import (
    ENDS,
    ask_retry,
    ask_stack,
    check_outcome,
    check_record,
    ended,
    final_answer,
    is_declared,
    note_of,
    payload_of,
    proof_of,
    settle,
    spooled,
    with_end,
    worker_link,
)
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import BASIC, PATIENCE_S, Harness, wait_for
from z4j_agent.conformance.harness_fixtures import HarnessFixtures
from z4j_agent.conformance.resource_limits import ResourceLimits
from z4j_agent.contract.adapter import ACTION_LEVEL


class AdapterContract(HarnessFixtures, ResourceLimits):
    """Subclass it with a `harness_class`; the name must begin with `Test`."""

    # -- fixtures ------------------------------------------------------------------------------------------------------
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test per kind of task the engine has."""
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", sorted(self.harness_class.outcomes))

    @pytest.fixture
    def lonely_gateway(self) -> Iterator[Gateway]:
        """Not started yet."""
        gateway = Gateway()
        yield gateway
        gateway.stop()

    @pytest.fixture
    def alone(self, lonely_gateway: Gateway, tmp_path: Path) -> Iterator[Harness]:
        """An engine without a worker, for tests that kill it."""
        harness = self.harness_class(tmp_path, lonely_gateway.url)
        try:
            harness.set_up()
            yield harness
        finally:
            harness.tear_down()

    # -- hello and discovery-----------------------------------------------------------------------------------------------
    def test_has_every_basic_kind(self) -> None:
        assert set(BASIC) <= set(self.harness_class.outcomes)

    def test_hello_says_who_and_what(self, gateway: Gateway, running: Harness) -> None:
        engine = self.harness_class.adapter.engine
        hello = worker_link(gateway).hello
        assert hello["protocol"] == wire.PROTOCOL
        assert hello["role"] == "worker"
        assert hello["worker"]
        if str(hello["pid"]) in hello["worker"]:
            assert hello["seat"], "a worker whose name contains its process ID reports a name that stays the same"
            assert str(hello["pid"]) not in hello["seat"]
        assert hello["engines"][engine]
        assert hello["environment"] == "test"
        able = [c for c in running.adapter.capabilities if c.action not in running.unsupported]
        reported = [entry for entry in hello["capabilities"] if entry[0] == engine]  # schedulers have further ones
        assert reported == [[engine, c.action, c.scope, c.certainty, list(c.states), c.note] for c in able]
        missing = {field for field in wire.AGENT_FRAMES["hello"] if not field.endswith("?")} - set(hello)
        assert not missing

    def test_capabilities_are_ones_the_agent_knows(self) -> None:
        for able in self.harness_class.adapter.capabilities:
            assert able.action in ACTION_LEVEL
            assert able.scope in ("any", "worker", "scheduler")
            assert able.certainty in ("exact", "best_effort")

    def test_lines_that_a_task_logs_are_records_of_its_run(self, gateway: Gateway, running: Harness) -> None:
        secret = f"hunter2{secrets.token_hex(8)}"
        task_id = running.enqueue("log", 42, secret)
        records = ended(gateway, task_id, self.harness_class.outcomes["log"])
        lines = wait_for(lambda: with_end([r for r in gateway.records(task_id) if r.kind == "logged"]), "the end of the lines")
        end = next(r for r in records if r.kind == "succeeded")
        assert [(r.rest["seq"], r.rest["level"], r.rest["message"]) for r in lines[:-1]] == [
            (0, 30, "charging order 42"), (1, 40, "password=•••"),
        ]  # fmt: skip
        assert {(r.attempt, r.run, r.name, r.queue, r.rest["started_at"]) for r in lines} == {
            (end.attempt, end.run, end.name, end.queue, end.rest["started_at"])
        }
        assert [r.rest["dropped"] for r in lines] == [0, 0, 0]
        assert end.rest["started_at"] <= lines[0].at <= end.at
        assert secret.encode() not in b"".join(gateway.raw)

    def test_the_end_of_a_run_says_what_it_used(self, gateway: Gateway, running: Harness) -> None:
        records = ended(gateway, running.enqueue("log", 42, "x"), self.harness_class.outcomes["log"])
        cpu_us, scope, peak, rise, is_own = next(r for r in records if r.kind == "succeeded").rest["usage"]
        assert (cpu_us >= 0, scope) == (running.cpu_of != "", 1 if running.cpu_of == "thread" else 0)
        assert cpu_us < PATIENCE_S * 1_000_000
        assert 5_000 < peak < 10_000_000, "KiB"
        assert 0 <= rise <= peak
        assert is_own == int(running.has_own_process)

    def test_a_running_task_shows_where_it_is(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("wait", 4.0)
        process = wait_for(lambda: [r.run for r in gateway.records(task_id) if r.kind == "started"], "it has started")[0]
        if not is_declared(running, "inspect_task"):
            assert ask_stack(gateway, running, task_id, process)[0] == "unsupported"
            return
        status, facts = ask_stack(gateway, running, task_id, process)
        assert status == "done", facts
        functions = [line.rpartition(" ")[2] for line in facts["stack"]]
        assert "wait" in functions, facts
        assert all(re.fullmatch(r".+:\d+ \S+", line) for line in facts["stack"]), facts
        assert ask_stack(gateway, running, "no-such-task", process)[0] == "refused"
        ended(gateway, task_id, running.outcomes["wait"])
        assert ask_stack(gateway, running, task_id, process)[0] == "refused", "it is over"

    def test_discovery_lists_tasks_queues_and_worker(self, gateway: Gateway, running: Harness) -> None:
        def with_queues() -> list[dict[str, Any]]:
            """The first discovery has none when the broker did not answer in time; the next one comes five seconds later."""
            return [found for found in worker_link(gateway).discoveries if found["queues"]]

        discovery = wait_for(with_queues, "a discovery with queues", seconds=20)[-1]
        assert discovery["engine"] == running.adapter.engine
        tasks = {name: signature for name, signature, _doc, _queue, _proof in discovery["tasks"]}
        for kind in BASIC:
            assert running.name_of(kind) in tasks
        assert tasks[running.name_of("wait")].replace("*, ", "").startswith("(seconds"), (
            "an argument that the engine passes itself is not listed"
        )
        queues = {entry[0]: entry[1] for entry in discovery["queues"]}
        assert running.queue in queues
        assert queues[running.queue] is None or queues[running.queue] >= 0
        assert discovery["worker"]["name"] == worker_link(gateway).hello["worker"]
        assert discovery["worker"]["concurrency"] >= 1
        assert running.queue in discovery["worker"]["queues"]
        options = discovery["worker"]["options"]
        assert {name: options.get(name) for name in running.worker_options} == dict(running.worker_options), options

    # -- outcomes of tasks--------------------------------------------------------------------------------------
    def test_outcome(self, gateway: Gateway, running: Harness, kind: str) -> None:
        outcome = running.outcomes[kind]
        task_id = running.enqueue(kind, *outcome.args, **(outcome.options or {}))
        check_outcome(running, outcome, kind, ended(gateway, task_id, outcome))

    def test_a_failure_has_its_traceback(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("fail", "no such door")
        end = ended(gateway, task_id, running.outcomes["fail"])[-1]
        assert end.rest["error_type"] == "ValueError"
        assert end.rest["error"] == "no such door"
        assert end.rest["traceback"].rstrip().endswith("ValueError: no such door")
        assert "line " in end.rest["traceback"]

    def test_a_retry_tells_why(self, gateway: Gateway, running: Harness) -> None:
        records = ended(gateway, running.enqueue("retry"), running.outcomes["retry"])
        retried = [record for record in records if record.kind == "retried"]
        assert [record.attempt for record in retried] == [0]
        assert retried[0].rest["error_type"] == "ConnectionError"
        assert "ConnectionError" in retried[0].rest["traceback"]
        assert records[-1].rest["result"] == '"second"'

    def test_arguments_and_result_are_shown(self, gateway: Gateway, running: Harness) -> None:
        records = ended(gateway, running.enqueue("succeed", "a word"), running.outcomes["succeed"])
        assert records[-1].rest["result"] == '"a word"'
        payload = payload_of(gateway, records[0].task_id)
        assert "a word" in payload.rest["args"]
        assert payload.rest["masked"] is False
        assert payload.rest["original_state"] == "plain"

    def test_a_child_names_its_parent(self, gateway: Gateway, running: Harness) -> None:
        parent = ended(gateway, running.enqueue("spawn"), running.outcomes["spawn"])[-1]
        child = json.loads(parent.rest["result"])
        reported = wait_for(lambda: [r for r in gateway.records(child) if "parent_id" in r.meta], "the child is reported with its parent")
        assert reported[0].meta["parent_id"] == parent.task_id

    def test_ends_name_the_process_that_ran_the_task(self, gateway: Gateway, running: Harness) -> None:
        records = ended(gateway, running.enqueue("succeed", 1), running.outcomes["succeed"])
        started, end = (next(r for r in records if r.kind == kind) for kind in ("started", "succeeded"))
        hello = worker_link(gateway).hello
        assert started.run == end.run
        assert started.boot == hello["boot"]
        assert (started.pid != hello["pid"]) == running.runs_in_children

    # -- what a task reports about itself ------------------------------------------------------------------------------
    def test_a_task_annotates_its_attempt_and_shows_its_progress(self, gateway: Gateway, running: Harness) -> None:
        secret = f"hunter-{secrets.token_hex(8)}"
        records = ended(gateway, running.enqueue("note", 42, secret), running.outcomes["note"])
        task_id = records[0].task_id
        wait_for(lambda: note_of(gateway, task_id)["progress"][1] == 2, "the last progress is reported")
        note = note_of(gateway, task_id)
        assert {name: value for name, (_, value) in note["fields"].items()} == {"order": "42", "password": "•••"}
        assert note["progress"][1:] == [2, 2, "all"]
        assert secret.encode() not in b"".join(gateway.raw)
        started = {json.dumps([r.attempt, r.at, r.run, r.name, r.queue]) for r in gateway.records(task_id) if r.kind == "started"}
        assert len(started) == 1, "a note is a copy of the record of the start"

    # -- secrets -------------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("is_by_name", [True, False], ids=["by name", "by position"])
    def test_a_secret_never_leaves_in_clear(self, gateway: Gateway, running: Harness, is_by_name: bool) -> None:
        secret = f"hunter-{secrets.token_hex(8)}"
        task_id = running.enqueue("secret", user="eve", password=secret) if is_by_name else running.enqueue("secret", "eve", secret)
        end = ended(gateway, task_id, running.outcomes["secret"])[-1]
        payload = payload_of(gateway, task_id)
        assert payload.rest["masked"] is True
        assert payload.rest["original_state"] == "sealed"
        assert payload.rest["original"][0] == worker_link(gateway).hello["seal_key"]
        assert "eve" in payload.rest["args"]
        assert proof_of(secret) in end.rest["result"]
        assert secret.encode() not in b"".join(gateway.raw)
        assert secret not in "".join(gateway.frames)
        for path in running.spool.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), f"{path} contains the secret"

    # -- commands-----------------------------------------------------------------------------------------
    def test_undeclared_actions_are_unsupported(self, gateway: Gateway, running: Harness) -> None:
        for action in sorted(action for action in ACTION_LEVEL if not is_declared(running, action)):
            params = {"task_id": "x", "new_id": "y", "original": "AHt9"}
            command_id = gateway.ask(worker_link(gateway), action, running.adapter.engine, params)
            assert final_answer(gateway, command_id)[0] == "unsupported", action

    def test_retry_runs_the_original_again(self, gateway: Gateway, running: Harness) -> None:
        first = ended(gateway, running.enqueue("fail", "again"), running.outcomes["fail"])
        command_id, new_id = ask_retry(gateway, running, first[0].task_id)
        status, facts = final_answer(gateway, command_id)
        if not is_declared(running, "retry_task"):
            assert status == "unsupported"
            return
        assert (status, facts.get("task_id")) == ("done", new_id)
        second = ended(gateway, new_id, running.outcomes["fail"])
        assert second[-1].rest["error"] == "again"
        assert any(record.meta.get("retry_of") == first[0].task_id for record in second)
        assert {record.name for record in second} == {first[0].name}

    def test_retry_gives_the_task_its_secret_back(self, gateway: Gateway, running: Harness) -> None:
        secret = f"hunter-{secrets.token_hex(8)}"
        task_id = running.enqueue("secret", user="eve", password=secret)
        ended(gateway, task_id, running.outcomes["secret"])
        command_id, new_id = ask_retry(gateway, running, task_id)
        if not is_declared(running, "retry_task"):
            assert final_answer(gateway, command_id)[0] == "unsupported"
            return
        assert final_answer(gateway, command_id)[0] == "done"
        assert proof_of(secret) in ended(gateway, new_id, running.outcomes["secret"])[-1].rest["result"]
        assert secret.encode() not in b"".join(gateway.raw)

    def test_a_command_delivered_twice_runs_once(self, gateway: Gateway, running: Harness) -> None:
        first = ended(gateway, running.enqueue("succeed", 7), running.outcomes["succeed"])
        command_id, new_id = ask_retry(gateway, running, first[0].task_id)
        status = final_answer(gateway, command_id)[0]
        answers = len(gateway.answers(command_id))
        ask_retry(gateway, running, first[0].task_id, new_id=new_id, id=command_id)
        wait_for(lambda: len(gateway.answers(command_id)) > answers, "the repeated command is answered")
        assert gateway.answers(command_id)[-1][0] == status
        settle(gateway, running)
        starts = {(r.attempt, r.run, r.at) for r in gateway.records(new_id) if r.kind == "started"}
        assert len(starts) == (1 if is_declared(running, "retry_task") else 0)

    def test_a_command_that_comes_too_late_is_not_carried_out(self, gateway: Gateway, running: Harness) -> None:
        first = ended(gateway, running.enqueue("succeed", 7), running.outcomes["succeed"])
        command_id, new_id = ask_retry(gateway, running, first[0].task_id, expires_in_s=-1)
        assert final_answer(gateway, command_id)[0] == "expired"
        settle(gateway, running)
        assert gateway.records(new_id) == []

    def test_cancel_keeps_a_waiting_task_from_running(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("succeed", 1, delay_s=2)
        wait_for(lambda: gateway.records(task_id), "the waiting task is reported")
        command_id = gateway.ask(worker_link(gateway), "cancel_task", running.adapter.engine, {"task_id": task_id})
        status, _ = final_answer(gateway, command_id)
        if not is_declared(running, "cancel_task"):
            assert status == "unsupported"
            return
        assert status == "done"
        end = wait_for(lambda: [r for r in gateway.records(task_id) if r.kind in ENDS], "the engine reports the cancellation")
        assert end[0].kind == "cancelled"
        assert not [record for record in gateway.records(task_id) if record.kind == "started"]

    def test_a_running_task_cannot_be_cancelled_as_if_it_waited(self, gateway: Gateway, running: Harness) -> None:
        task_id = running.enqueue("wait", 1.5)
        wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "started"], "it runs")
        command_id = gateway.ask(worker_link(gateway), "cancel_task", running.adapter.engine, {"task_id": task_id})
        assert final_answer(gateway, command_id)[0] == ("refused" if is_declared(running, "cancel_task") else "unsupported")
        assert ended(gateway, task_id, running.outcomes["wait"])[-1].kind == "succeeded"

    def test_terminate_stops_a_running_task(self, gateway: Gateway, running: Harness) -> None:
        is_able = is_declared(running, "terminate_task")
        task_id = running.enqueue("wait", 30 if is_able else 1)
        wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "started"], "it runs")
        command_id = gateway.ask(worker_link(gateway), "terminate_task", running.adapter.engine, {"task_id": task_id})
        status, facts = final_answer(gateway, command_id)
        if not is_able:
            assert status == "unsupported"
            return
        assert status == "done", facts
        end = wait_for(lambda: [r for r in gateway.records(task_id) if r.kind in ENDS], "the engine reports the end")
        assert {(record.kind, record.rest["reason"]) for record in end} == {("cancelled", "stopped")}
        assert end[0].run == next(r.run for r in gateway.records(task_id) if r.kind == "started")
        settle(gateway, running)

    def test_terminate_refuses_what_does_not_run(self, gateway: Gateway, running: Harness) -> None:
        task_id = ended(gateway, running.enqueue("succeed", 1), running.outcomes["succeed"])[0].task_id
        command_id = gateway.ask(worker_link(gateway), "terminate_task", running.adapter.engine, {"task_id": task_id})
        assert final_answer(gateway, command_id)[0] == ("refused" if is_declared(running, "terminate_task") else "unsupported")

    # -- running tasks----------------------------------------------------------------------------------------------
    def test_heartbeats_tell_what_runs(self, gateway: Gateway, running: Harness) -> None:
        sent_at = time.time_ns() // 1_000
        task_id = running.enqueue("wait", 1.5)

        def entry() -> list[Any]:
            beats = worker_link(gateway).heartbeats
            return [task for task in (beats[-1]["running"] or [] if beats else []) if task[1] == task_id and task[5]]

        engine, _id, attempt, name, queue, started_at, pid = wait_for(entry, "a heartbeat names the running task")[0]
        assert (engine, attempt, name, queue) == (running.adapter.engine, 0, running.name_of("wait"), running.queue)
        # a heartbeat may arrive before records that are still in the spool
        began = wait_for(lambda: [record for record in gateway.records(task_id) if record.kind == "started"], "its start arrives")[0]
        # Not compared with `began.at`: between both, a horse that RQ spawns starts an interpreter.
        assert sent_at - 1_000_000 <= started_at <= time.time_ns() // 1_000, (sent_at, started_at, began.at)
        assert pid == began.pid
        ended(gateway, task_id, running.outcomes["wait"])
        wait_for(lambda: not entry(), "a heartbeat no longer names it")

    # -- odd values ----------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("value", ["\0", "\ud800", "line\nline", "\u202e\U0001f642"], ids=["nul", "surrogate", "newline", "unicode"])
    def test_odd_text_is_reported(self, gateway: Gateway, running: Harness, value: str) -> None:
        records = ended(gateway, running.enqueue("succeed", value), running.outcomes["succeed"])
        assert payload_of(gateway, records[0].task_id)
        assert json.loads(records[-1].rest["result"]) == value

    def test_large_arguments_are_cut_not_dropped(self, gateway: Gateway, running: Harness) -> None:
        records = ended(gateway, running.enqueue("succeed", "x" * 1_000_000), running.outcomes["succeed"])
        payload = payload_of(gateway, records[0].task_id)
        assert len(payload.rest["args"]) <= 2_000
        assert payload.rest["original_state"] in ("plain", "sealed", "too_large")
        assert (payload.rest["original"] is None) == (payload.rest["original_state"] == "too_large")
        assert len(records[-1].rest["result"]) <= 2_000

    # -- all records, after the tests above------------------------------------------------------------------
    def test_every_record_is_well_formed(self, gateway: Gateway, running: Harness) -> None:
        settle(gateway, running)
        boots = {fields[1] for fields in gateway.decoded() if fields[0] == "origin"}
        seen = 0
        for entry, fields in zip(list(gateway.raw), gateway.decoded(), strict=False):
            assert len(entry) <= wire.MAX_RECORD
            if fields[0] in wire.TASK_RECORDS:
                seen += 1
                check_record(Record.of(fields), running.adapter.engine, boots)
            else:
                assert len(fields) == len(wire.OTHER_RECORDS[fields[0]]) + 1, fields
        assert seen > 0

    def test_nothing_went_wrong_inside(self, gateway: Gateway, running: Harness) -> None:
        settle(gateway, running)
        beat = wait_for(lambda: worker_link(gateway).heartbeats, "a heartbeat")[-1]
        assert (beat["faults"], beat["dropped"]) == (0, 0), running.log("worker")[-3000:]
        assert not [fields for fields in gateway.decoded() if fields[0] in ("gap", "fault")]

    # -- failures: each with a worker of its own--------------------------------------------------------------------
    def test_without_a_server_tasks_run_and_are_told_later(self, alone: Harness, lonely_gateway: Gateway) -> None:
        alone.start_worker()
        tasks = [alone.enqueue("succeed", number) for number in range(20)]
        wait_for(lambda: spooled(alone.spool, "succeeded", *tasks) >= len(tasks), "all tasks run without a server")
        lonely_gateway.start()
        for task_id in tasks:
            ended(lonely_gateway, task_id, alone.outcomes["succeed"])

    def test_what_was_not_acked_is_sent_again(self, alone: Harness, lonely_gateway: Gateway) -> None:
        lonely_gateway.is_acking = False
        lonely_gateway.start()
        alone.start_worker()
        task_id = alone.enqueue("succeed", 1)
        wait_for(lambda: spooled(alone.spool, "succeeded", task_id) >= 1, "the task runs")
        lonely_gateway.stop()
        lonely_gateway.is_acking = True
        assert lonely_gateway.raw == []
        lonely_gateway.start()
        ended(lonely_gateway, task_id, alone.outcomes["succeed"])

    def test_a_refused_token_does_not_disturb_tasks(self, alone: Harness, lonely_gateway: Gateway) -> None:
        lonely_gateway.is_refusing = True
        lonely_gateway.start()
        worker = alone.start_worker()
        tasks = [alone.enqueue("succeed", number) for number in range(5)]
        wait_for(lambda: spooled(alone.spool, "succeeded", *tasks) >= 5, "tasks run although the server refuses the agent")
        wait_for(lambda: lonely_gateway.refused, "the agent is refused")
        assert worker.poll() is None

    def test_a_killed_worker_loses_no_captured_event(self, alone: Harness, lonely_gateway: Gateway) -> None:
        first = alone.start_worker()
        task_id = alone.enqueue("succeed", 1)
        wait_for(lambda: spooled(alone.spool, "succeeded", task_id) >= 1, "the task runs")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(PATIENCE_S)
        lonely_gateway.start()
        alone.start_worker()
        ended(lonely_gateway, task_id, alone.outcomes["succeed"])

    def test_a_worker_that_ends_says_goodbye_and_leaves_nothing_behind(self, alone: Harness, lonely_gateway: Gateway) -> None:
        lonely_gateway.start()
        worker = alone.start_worker()
        task_id = alone.enqueue("succeed", 1)
        wait_for(lambda: [r for r in lonely_gateway.records(task_id) if r.kind == "succeeded"], "the task runs")
        link = worker_link(lonely_gateway)
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 15
        wait_for(lambda: link.goodbye is not None, "the goodbye")

    def test_without_a_connection_string_nothing_happens(self, alone: Harness, lonely_gateway: Gateway) -> None:
        lonely_gateway.start()
        alone.url = ""
        worker = alone.start_worker()
        alone.enqueue("succeed", 1)
        time.sleep(0.5)
        assert worker.poll() is None
        assert lonely_gateway.links == []
        assert not alone.spool.exists()
