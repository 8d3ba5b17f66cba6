# SPDX-License-Identifier: AGPL-3.0-or-later
"""Agents that cannot report: always grey, with how much is not known and why."""

from __future__ import annotations

from tests.unit.rules.findings.examples import T
from tests.unit.rules.findings.fleet.examples import process
from z4j.rules.findings.fleet import agents
from z4j.rules.findings.fleet.agents import FaultReport, GapReport, RefusedReport
from z4j.rules.findings.fleet.process import SECOND_US


def test_dropped_events_are_one_finding_for_an_app() -> None:
    gaps = [
        GapReport("shop", T, 12_000, T - 300 * SECOND_US, T - 60 * SECOND_US, "spool_full"),
        GapReport("shop", T, 400, T - 90 * SECOND_US, T, "spool_full"),
        GapReport("media", T, 1, T, T, ""),
    ]
    shop, media = agents.find_dropped(gaps)
    assert (shop.kind, shop.level, shop.subject, shop.since) == ("dropped_events", "blind", "shop", T - 300 * SECOND_US)
    assert shop.text == "12,400 events within 5\u202fm\u202f00\u202fs: what tasks did in that time is unknown"
    assert shop.why == "reported by its agents in the last hour; cause: spool full"
    assert media.text.startswith("1 event within")
    assert media.why == "reported by its agents in the last hour"
    assert agents.find_dropped([]) == []


def test_faults_and_refused_records() -> None:
    faults = [FaultReport("shop", T - 5, "capture", "KeyError: 'a'", 2), FaultReport("shop", T, "spool", "OSError: full", 3)]
    [fault] = agents.find_faults(faults)
    assert (fault.kind, fault.level, fault.text, fault.since) == ("agent_faults", "blind", "5 times in the last hour", T - 5)
    assert fault.why.startswith("last in spool: OSError: full.")
    [refused] = agents.find_refused([RefusedReport("shop", "3 records refused (from the future)", T)])
    assert (refused.kind, refused.level, refused.text) == ("refused_events", "blind", "3 records refused (from the future)")


def test_clocks_that_are_off() -> None:
    ahead, behind = process("w1", skew_us=-4 * SECOND_US, host="h1"), process("w2", skew_us=2 * SECOND_US, host="h2")
    found = {finding.subject: finding for finding in agents.find_clocks([ahead, behind, process("w3", host="h3", skew_us=1_999_999)])}
    assert set(found) == {"h1", "h2"}
    assert found["h1"].text == "4.0\u202fs ahead of this server"
    assert found["h2"].text == "2.0\u202fs behind this server"
    assert agents.find_clocks([process("w1", skew_us=9 * SECOND_US, left_at=T)]) == []


def test_agents_that_have_much_to_send() -> None:
    [finding] = agents.find_behind([process("w1", spool_bytes=9_000_000), process("w2", spool_bytes=4_000_000), process("w3")])
    assert (finding.kind, finding.level, finding.text) == ("behind", "blind", "9.0\u202fMB waiting to be sent")
    assert finding.why.startswith("reported by 2 of its processes")
    assert agents.find_behind([process(spool_bytes=3_999_999)]) == []
    assert agents.find_behind([process(spool_bytes=9_000_000, left_at=T)]) == []


def test_several_reports_of_an_app_are_joined() -> None:
    [dropped] = agents.find_dropped([GapReport("shop", T, 9, T, T, "spool_full"), GapReport("shop", T, 1, T, T, "disk")])
    assert dropped.why == "reported by its agents in the last hour; cause: disk, spool full"
    assert dropped.weight == 500
    assert agents.find_dropped([GapReport("shop", T, 10**12, T, T, "")])[0].weight == 900
    [refused] = agents.find_refused([RefusedReport("shop", "3 refused", T), RefusedReport("shop", "5 renamed", T)])
    assert refused.text == "3 refused; 5 renamed"
    [fault] = agents.find_faults([FaultReport("shop", T, "spool", "x" * 201, 1)])
    assert fault.why.startswith(f"last in spool: {'x' * 200}. The application")


def test_the_clock_of_a_host_is_the_one_that_is_farthest_off() -> None:
    assert (agents.SKEW_US, agents.BEHIND_BYTES) == (2 * SECOND_US, 4_000_000)
    for skews in ((-4, 3), (3, -4)):
        [finding] = agents.find_clocks([process(f"w{n}", skew_us=skew * SECOND_US) for n, skew in enumerate(skews)])
        assert (finding.text, finding.weight) == ("4.0\u202fs ahead of this server", 184)
    assert agents.find_clocks([process(skew_us=900 * SECOND_US)])[0].weight == 400
