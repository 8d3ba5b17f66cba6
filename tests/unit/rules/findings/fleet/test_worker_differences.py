# SPDX-License-Identifier: AGPL-3.0-or-later
"""Workers of one queue that differ."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import T
from tests.unit.rules.findings.fleet.examples import process
from z4j.rules.findings.fleet import worker_differences
from z4j.rules.findings.fleet.process import MINUTE_US


def test_workers_of_a_queue_that_differ() -> None:
    workers = [process("w1"), process("w2"), process("w3", release="1.1", pool="threads")]
    [finding] = worker_differences.find(workers, T)
    assert (finding.kind, finding.level, finding.subject, finding.scope.engine) == ("different_workers", "warn", "emails", "celery")
    assert finding.text == "release: 2 with 1.0, 1 with 1.1; pool: 2 with prefork, 1 with threads"
    assert worker_differences.find(workers[:2], T) == []
    assert worker_differences.find([workers[0], replace(workers[2], began_at=T - 9 * MINUTE_US)], T) == [], "a deployment"
    assert worker_differences.find([workers[0], replace(workers[2], queues=("other",))], T) == []
    assert worker_differences.find([workers[0], replace(workers[2], left_at=T)], T) == []
    assert worker_differences.find([workers[0], process("w4", release="", pool="")], T) == [], "what is not reported is not compared"
    [version] = worker_differences.find([process("w1"), process("w2", engines={"celery": "5.5"})], T)
    assert version.text == "celery: 1 with 5.4, 1 with 5.5"


def test_options_that_agents_report_are_compared() -> None:
    usual = {"worker_prefetch_multiplier": "4", "task_serializer": "json"}
    workers = [process("w1", options=usual), process("w2", options=usual), process("w3", options=usual | {"task_serializer": "pickle"})]
    [finding] = worker_differences.find(workers, T)
    assert finding.text == "task_serializer: 2 with json, 1 with pickle"
    assert [link.text for link in finding.evidence] == ["w3", "the queue"], "the one that differs from most"
    assert finding.evidence[0].href == "/workers/w3?app=shop&environment=production"
    [even] = worker_differences.find(workers[1:], T)
    assert [link.text for link in even.evidence] == ["w2", "w3", "the queue"]
    assert worker_differences.find([workers[0], process("w4")], T) == [], "an older agent reports none"
    [one] = worker_differences.find([workers[0], process("w5", options={"worker_prefetch_multiplier": "1"})], T)
    assert one.text == "worker_prefetch_multiplier: 1 with 4, 1 with 1"


def test_queues_of_the_same_workers_are_one_finding() -> None:
    workers = [process("w1", queues=("a", "b", "c")), process("w2", release="1.1", queues=("a", "b", "c"))]
    [finding] = worker_differences.find(workers, T)
    assert finding.title == "Workers of a and 2 more queues differ"


def test_how_many_are_named_and_linked() -> None:
    assert (worker_differences.SETTLED_US, worker_differences.NAMED, worker_differences.LINKED) == (10 * MINUTE_US, 3, 4)
    [three] = worker_differences.find([process(f"w{n}", release=f"1.{n}") for n in range(3)], T)
    assert three.text == "release: 1 with 1.0, 1 with 1.1, 1 with 1.2"
    [four] = worker_differences.find([process(f"w{n}", release=f"1.{n}") for n in range(4)], T)
    assert four.text == "release: 1 with 1.0, 1 with 1.1, 1 with 1.2 …"
    assert [link.text for link in four.evidence] == ["w0", "w3", "the queue"], "the first and the last value"
    ordered = [process(f"a{n}") for n in range(6)] + [process(f"b{n}", release="2") for n in range(5)] + [process("c", release="3")]
    [finding] = worker_differences.find(ordered, T)
    assert [link.text for link in finding.evidence] == ["c", "the queue"], "that with the least common value"
    halves = [process(f"a{n}") for n in range(4)] + [process(f"b{n}", release="2", pool="x" if n else "y") for n in range(4)]
    [many] = worker_differences.find(halves, T)
    assert [link.text for link in many.evidence] == ["a0", "a1", "a2", "b0", "the queue"]
    settled = process("w2", release="2", began_at=T - 10 * MINUTE_US)
    assert worker_differences.find([process("w1"), settled], T), "ten minutes to the microsecond"
