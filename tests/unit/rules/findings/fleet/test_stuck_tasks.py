# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks that run much longer than their name ever does."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rules.findings.examples import SHOP, T, name
from z4j.rules.findings.fleet import stuck_tasks
from z4j.rules.findings.fleet.process import SECOND_US
from z4j.rules.findings.fleet.stuck_tasks import RunningTask


def runs_for(seconds: int, worker: str = "w1", task: str = "emails.send") -> RunningTask:
    return RunningTask(SHOP, task, worker, T - seconds * SECOND_US)


def test_tasks_far_beyond_their_p99_are_one_finding() -> None:
    names = {(SHOP, "emails.send"): name(ms=30_000)}  # p99 about 240 ms of the hours before, 36 s of the last minutes
    [finding] = stuck_tasks.find([runs_for(2_460), runs_for(800, "w2"), runs_for(70)], names, T)
    assert (finding.kind, finding.subject, finding.level) == ("stuck", "emails.send", "warn")
    assert finding.title == "emails.send may be stuck"
    assert finding.text == "2 tasks have been running for up to 41\u202fm\u202f00\u202fs on 2 workers"
    assert "(7,350 runs, this hour of the last 4 weeks)" in finding.why
    assert [link.text for link in finding.evidence] == ["w1", "w2"]


def test_a_task_is_not_stuck_within_a_minute_or_three_times_its_p99() -> None:
    quick, slow = {(SHOP, "emails.send"): name()}, {(SHOP, "emails.send"): name(ms=400_000, usual=())}
    assert stuck_tasks.find([runs_for(59)], quick, T) == []
    assert len(stuck_tasks.find([runs_for(61)], quick, T)) == 1
    assert stuck_tasks.find([runs_for(900)], slow, T) == []
    assert len(stuck_tasks.find([runs_for(1_800)], slow, T)) == 1
    few = {(SHOP, "emails.send"): replace(name(usual=()), ran={20: 19})}
    assert stuck_tasks.find([runs_for(9_000)], few, T) == []
    assert stuck_tasks.find([runs_for(9_000, task="other")], quick, T) == []


def test_the_edges_of_stuck() -> None:
    assert (stuck_tasks.FACTOR, stuck_tasks.LEAST_US, stuck_tasks.LEAST_RUNS) == (3.0, 60_000_000, 20)
    enough = {(SHOP, "emails.send"): replace(name(usual=()), ran={20: 20})}
    assert len(stuck_tasks.find([runs_for(61)], enough, T)) == 1
    assert stuck_tasks.find([runs_for(60)], enough, T) == [], "a minute to the second"
    rare = {(SHOP, "emails.send"): replace(name(usual=()), ran={20: 995, 120: 5})}
    assert len(stuck_tasks.find([runs_for(61)], rare, T)) == 1, "five of a thousand are beyond the p99"
    assert stuck_tasks.find([replace_start(T + 60_000_000)], enough, T) == [], "a clock that is ahead"


def replace_start(at: int) -> RunningTask:
    return RunningTask(SHOP, "emails.send", "w1", at)


def test_weight_and_evidence_have_limits() -> None:
    quick = {(SHOP, "emails.send"): name()}
    [three] = stuck_tasks.find([runs_for(90, f"w{number}") for number in range(3)], quick, T)
    [many] = stuck_tasks.find([runs_for(90, f"w{number}") for number in range(30)], quick, T)
    assert (three.weight, many.weight) == (290, 600)
    assert [link.text for link in many.evidence] == ["w0", "w1", "w10"]
