# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks that kill their process, and workers that start in a loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.rules.findings.examples import T
from tests.unit.rules.findings.fleet.examples import end, process
from z4j.rules.findings.fleet import worker_restarts
from z4j.rules.findings.fleet.process import MINUTE_US, SECOND_US, Process


def test_a_task_that_kills_its_process() -> None:
    [finding] = worker_restarts.find_killed([end(2), end(1, "failed")], T)
    assert (finding.kind, finding.title, finding.text) == (
        "killed", "reports.build kills its worker process", "3 tasks in 15 minutes",
    )  # fmt: skip
    assert (finding.level, finding.since) == ("bad", T - 300 * SECOND_US)
    assert "3 of them were running when the process was killed" in finding.why
    assert finding.action is not None
    assert "state=failed,lost" in finding.action.href
    [lost] = worker_restarts.find_killed([end(4, reason="shutdown")], T)
    assert lost.title == "Tasks of reports.build are lost"
    assert worker_restarts.find_killed([end(1)], T) == []
    assert worker_restarts.find_killed([end(50, "rejected", "unknown_task"), end(50, "failed", "time_limit")], T) == []


def test_kills_are_over_when_workers_run_such_tasks_and_it_is_quiet() -> None:
    kills = end(3)._replace(first_at=T - 300 * SECOND_US, last_at=T - 280 * SECOND_US)
    assert worker_restarts.find_killed([kills], T), "nothing shows that such tasks run again"
    ran = kills._replace(ran=1)
    assert worker_restarts.find_killed([ran], T) == []
    assert worker_restarts.find_killed([ran], kills.last_at + 29 * SECOND_US), "three times the mean time between two, and 30 seconds"
    assert worker_restarts.find_killed([ran], kills.last_at + 30 * SECOND_US) == []
    seldom = ran._replace(first_at=T - 800 * SECOND_US, last_at=T - 280 * SECOND_US)
    assert worker_restarts.find_killed([seldom], T)
    assert worker_restarts.find_killed([ran, kills._replace(last_at=T - 60 * SECOND_US)], T), "that of the last one counts"


def starts(count: int, minutes: int = 10, **changes: Any) -> list[Process]:
    step = minutes * MINUTE_US // count
    return [
        process("w1", boot=f"b{n}", began_at=T - (n + 1) * step + SECOND_US, left_at=None if n == 0 else T - n * step, **changes)
        for n in range(count)
    ]


def test_a_worker_that_starts_in_a_loop() -> None:
    [finding] = worker_restarts.find_loops(starts(4), T)
    assert (finding.kind, finding.subject, finding.level) == ("restarts", "host-7", "bad")
    assert (finding.title, finding.text) == ("w1 on host-7 keeps restarting", "4 starts in 10 minutes")
    assert finding.why.startswith("3 of the processes did not shut down cleanly")
    assert worker_restarts.find_loops(starts(2), T) == []
    kept = [process("w1", boot=f"b{n}", began_at=T - (120 + 15 * n) * SECOND_US, left_at=None if n == 0 else T) for n in range(3)]
    assert worker_restarts.find_loops(kept, T - 76 * SECOND_US)
    assert worker_restarts.find_loops(kept, T - 75 * SECOND_US) == [], "it runs for much longer than before"
    assert worker_restarts.find_loops([replace(each, left_at=T) for each in kept], T), "none of them is connected"
    assert worker_restarts.find_loops(starts(4, minutes=30), T) == []
    assert worker_restarts.find_loops([process("w1", boot=f"b{n}", began_at=T - SECOND_US) for n in range(5)], T) == [], "all are connected"
    by_seat = [replace(each, worker=f"w-{number}", seat="1") for number, each in enumerate(starts(3))]
    assert len(worker_restarts.find_loops(by_seat, T)) == 1
    assert worker_restarts.find_loops([replace(each, seat=str(number)) for number, each in enumerate(by_seat)], T) == []
    assert "all of them shut down cleanly" in worker_restarts.find_loops(starts(3, is_orderly=True), T)[0].why


def test_limits_are_those_of_the_documents() -> None:
    of = worker_restarts
    assert (of.WINDOW_US, of.LEAST_STARTS, of.LEAST_KILLS, of.RECENT_MIN) == (10 * MINUTE_US, 3, 2, 15)
    assert (of.GAPS, of.QUIET_US, of.STEADY) == (3, 30 * SECOND_US, 3)


def test_the_edges_of_kills() -> None:
    [two] = worker_restarts.find_killed([end(2)], T)
    assert (two.weight, two.title) == (660, "reports.build kills its worker process")
    [half] = worker_restarts.find_killed([end(2), end(2, reason="shutdown")], T)
    assert half.title == "reports.build kills its worker process", "half of them were killed"
    [third] = worker_restarts.find_killed([end(2), end(3, reason="shutdown")], T)
    assert third.title == "Tasks of reports.build are lost"
    [none] = worker_restarts.find_killed([end(2, reason="shutdown")], T)
    assert none.why == "within 4\u202fm\u202f00\u202fs. Common causes: out of memory, a crash in native code, a signal"
    assert worker_restarts.find_killed([end(90)], T)[0].weight == 850
    early, late = end(1)._replace(first_at=T - 9 * MINUTE_US), end(1)._replace(last_at=T - SECOND_US)
    for ends in ([early, late], [late, early]):
        [finding] = worker_restarts.find_killed(ends, T)
        assert finding.since == T - 9 * MINUTE_US
        assert finding.why.startswith("within 8\u202fm\u202f59\u202fs")


def test_when_it_is_quiet() -> None:
    assert worker_restarts.is_quiet(T, T - 130 * SECOND_US, T - 90 * SECOND_US, 3) is True, "60 s: three times the 20 s between two"
    assert worker_restarts.is_quiet(T, T - 130 * SECOND_US, T - 60 * SECOND_US, 3) is False
    assert worker_restarts.is_quiet(T, T - 80 * SECOND_US, T - 60 * SECOND_US, 2) is True
    assert worker_restarts.is_quiet(T, T - 81 * SECOND_US, T - 60 * SECOND_US, 2) is False
    assert worker_restarts.is_quiet(T, T - 30 * SECOND_US, T - 30 * SECOND_US, 1) is True
    assert end(1).is_there
    assert end(1).ran == 0


def test_the_edges_of_loops() -> None:
    assert worker_restarts.find_loops(starts(3, role="scheduler"), T), "a scheduler, too"
    assert worker_restarts.find_loops(starts(3, role="producer"), T) == []
    nameless = [replace(each, worker="") for each in starts(3)]
    assert worker_restarts.find_loops(nameless, T) == []
    window = [replace(each, began_at=T - 10 * MINUTE_US) if not n else each for n, each in enumerate(reversed(starts(3)))]
    assert worker_restarts.find_loops(window, T) == [], "ten minutes to the microsecond"
    two = [replace(each, left_at=None) if n == 1 else each for n, each in enumerate(starts(4))]
    assert worker_restarts.find_loops(two, T) == [], "two of them are connected: a pool of workers of one name"


def test_steady_is_three_times_the_longest_run_and_45_seconds() -> None:
    def runs(*ages_s: int) -> bool:
        made = [process("w1", boot=f"b{age}", began_at=T - age * SECOND_US, left_at=T if n else None) for n, age in enumerate(ages_s)]
        return worker_restarts.find_loops(made, T) == []

    assert runs(90, 120, 125), "30 seconds at most"
    assert not runs(89, 120, 125)
    assert runs(45, 46, 47), "45 seconds at least"
    assert not runs(44, 45, 46)


def test_loops_of_several_workers() -> None:
    other = [replace(each, worker="w2", boot=f"c{n}") for n, each in enumerate(starts(3))]
    [finding] = worker_restarts.find_loops([*starts(3), *other], T)
    assert (finding.title, finding.weight) == ("2 workers on host-7 keep restarting", 680)
    assert worker_restarts.find_loops(starts(30), T)[0].weight == 800
    newer = [replace(each, worker=f"w-{9 - n}", seat="1") for n, each in enumerate(starts(3))]
    assert worker_restarts.find_loops(newer, T)[0].title == "w-9 on host-7 keeps restarting", "the name of the newest"
