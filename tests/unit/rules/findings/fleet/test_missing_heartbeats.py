# SPDX-License-Identifier: AGPL-3.0-or-later
"""Silent hosts: grey, with what was running there, until somebody is heard of again."""

from __future__ import annotations

from tests.unit.rules.findings.examples import T
from tests.unit.rules.findings.fleet.examples import WHERE, process, silent
from z4j.rules.findings.fleet import missing_heartbeats
from z4j.rules.findings.fleet.process import SECOND_US


def test_a_silent_host_is_one_finding_and_its_tasks_are_not_called_failed() -> None:
    workers = [silent("w1", last_running=5), silent("w2", last_running=7), silent("w3"), process("other", host="host-1")]
    [finding] = missing_heartbeats.find(workers, T)
    assert (finding.kind, finding.subject, finding.level, finding.scope) == ("silent_host", "host-7", "blind", WHERE)
    assert finding.title == "No heartbeat from host-7"
    assert (
        finding.text
        == "for 4\u202fm\u202f00\u202fs: 3 workers and 12 running tasks were last seen there. The state of the tasks is unknown, not failed"
    )
    assert finding.since == T - 240 * SECOND_US
    assert finding.action is not None
    assert finding.action.href == "/workers?app=shop&environment=production"


def test_a_host_is_not_silent_before_three_heartbeats_or_after_a_goodbye() -> None:
    assert missing_heartbeats.find([process()], T) == []
    assert missing_heartbeats.find([silent(quiet_s=44)], T) == []
    assert len(missing_heartbeats.find([silent(quiet_s=45)], T)) == 1
    assert missing_heartbeats.find([silent(is_orderly=True)], T) == []
    assert missing_heartbeats.find([silent(role="producer")], T) == []


def test_one_silent_worker_beside_others_names_them() -> None:
    [finding] = missing_heartbeats.find([silent("w1", last_running=1), process("w2")], T)
    assert finding.title == "No heartbeat from 1 worker on host-7"
    assert "1 worker and 1 running task was last seen there" in finding.text
    assert finding.why == "w1 sent no heartbeat and did not report a shutdown; 1 other worker on the host connected"
    assert [link.text for link in finding.evidence] == ["running tasks"]


def test_silence_ends_when_the_worker_or_its_successor_connects() -> None:
    assert missing_heartbeats.find([silent("w1"), process("w1", boot="new")], T) == []
    gone, successor = silent("w-8121", seat="1"), process("w-9000", seat="1", began_at=T - 60 * SECOND_US)
    assert missing_heartbeats.find([gone, successor], T) == []
    assert len(missing_heartbeats.find([gone, process("w-9000", seat="2")], T)) == 1


def test_an_idle_host_that_was_taken_away_is_forgotten_after_an_hour() -> None:
    assert missing_heartbeats.find([silent(quiet_s=3_601)], T) == []
    assert len(missing_heartbeats.find([silent(quiet_s=3_599)], T)) == 1
    assert len(missing_heartbeats.find([silent(quiet_s=80_000, last_running=1)], T)) == 1


def test_which_workers_are_named() -> None:
    assert (missing_heartbeats.QUIET_US, missing_heartbeats.IDLE_US, missing_heartbeats.NAMED) == (45 * SECOND_US, 3_600 * SECOND_US, 3)
    whys = [missing_heartbeats.find([silent(f"w{n}") for n in range(count)], T)[0].why for count in (3, 4)]
    assert whys == [
        "w0, w1, w2 sent no heartbeat and did not report a shutdown", "w0, w1, w2 … sent no heartbeat and did not report a shutdown",
    ]  # fmt: skip
    [finding] = missing_heartbeats.find([silent("w1", 300), silent("w2", 100)], T)
    assert (finding.since, finding.weight, finding.evidence) == (T - 100 * SECOND_US, 340, ()), "silent since the last heartbeat of any"
    assert missing_heartbeats.find([silent("w1")], T)[0].evidence == (), "nothing was running"
    assert missing_heartbeats.find([silent(last_running=1_000)], T)[0].weight == 900
    assert missing_heartbeats.find([silent("w1", last_running=1), silent("w2", last_running=1)], T)[0].evidence == ()


def test_the_edges_of_silence() -> None:
    assert missing_heartbeats.find([silent(quiet_s=3_600)], T) == [], "an hour to the second"
    assert not missing_heartbeats.is_silent(process(seen_at=T - 900 * SECOND_US), T), "connected, whatever was reported"
