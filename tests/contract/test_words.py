# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps retired names and phrases out of code, templates and documents. Each has a plain word to use instead: see docs/glossary.md."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SEARCHED = (
    "z4j", "adapters/*/src/*", "templates", "docs", "README.md", "CONTRIBUTING.md", "adapters/*/README.md", "adapters/agent/PROTOCOL.md",
)  # fmt: skip
NOT_SEARCHED = ("docs/proof.md", "docs/decisions.md", "z4j/store/sqlite/migrations/")
"""Records of past runs and decisions, which quote earlier names, and migrations, which are never edited."""

RETIRED = {
    r"begin itself anew": "it cannot restart itself",
    r"\bclass Holds\b": "PausedQueues",
    r"\bclass Turns\b": "PollLease",
    r"\bwishes\.py\b": "command_requests.py",
    r"\bWish\b": "CommandRequest",
    r"\bAsker\b": "Actor",
    r"\bOffer\b": "AvailableAction",
    r"\bseats\.py\b": "worker_succession.py",
    r"\bSitting\b": "WorkerSession",
    r"\bturns\.py\b": "poll_lease.py",
    r"\bboots\.py\b": "processes.py",
    r"\bheads\.py\b": "audit_checkpoints.py",
    r"store/witnesses\.py\b": "audit_witnesses.py",
    r"\bholds\.py\b": "paused_queues.py",
    r"\bhold_again\b": "reapply_pauses",
    r"\bplaces\.py\b": "spool_location.py, storage.py",
    r"\bfacts\.py\b": "messages.py",
    r"\bPlanned\b": "OverriddenEntry",
    r"\bwatch\.py\b": "stale_tasks.py",
    r"\bmerge\.py\b": "task_writer.py",
    r"store/pages\.py\b": "task_search.py",
    r"\bminutes\.py\b": "minute_stats.py",
    r"\bgate\.py\b": "auth_pages.py, pausing.py",
    r"\bScheduleDesk\b": "ScheduleService",
    r"\bHouse\b": "BackgroundDuties",
    r"\bLookout\b": "QueuePoller",
    r"\bCrons\b": "CronTables",
    r"\bCARRIED_OUT\b": "HANDLERS",
    r"\bgreen\.py\b": "gevent_bridge.py",
    r"\bnative\.py\b": "native_threads.py",
    r"\bwanted\.py\b": "schedule_request.py",
    r"\bWanted\b": "ScheduleRequest",
    r"\brefuse_if_odd\b": "validate",
    r"\bunborn\b": "placeholder_row",
    r"\blist_unheard\b": "list_timed_out",
    r"\bpass_by\b": "skip_past",
    r"\bis_like\b": "has_same_timing",
    r"\bSharedIds\b": "CancelledIds",
    r"\bSendingTasks\b": "DeliveryTasks",
    r"\btake_back\b": "undo_ahead, reset_next",
    r"\bis_one_life\b": "is_one_execution",
    r"\bBESIDE\b|\bEVER\b|\bOURS\b": "SUFFIXES, NO_CUTOFF, SERVER_ACTIONS",
    r"nobody has told of it": "Overdue: no run reported.",
    r"do not wait for what becomes of it": "Return immediately; do not wait for the result.",
    r"walk the whole log": "Verify the integrity of the audit log.",
    r"tasks of a server that runs": "Manage tasks on a running server.",
    r"stands above this worker": "it cannot be shut down gracefully",
    r"z4j is off\b": "z4j is disabled",
    r"exists already": "already exists",
    r"all as they were written": "the log is intact",
    r"what shall be done with them": "Action",
    r"late, half of them": "lateness p50",
    r"where shall it stand": "Choose a scheduler",
    r"\bshall\b": "must, will",
    r"\bamiss\b": "problem",
    r"made up for": "caught up",
    r"switch off": "Disable",
    r"nothing was asked yet": "No commands yet",
    r"is no json": "is not valid JSON",
    r"nobody can say": "outcome unknown",
    r"back to code": "Revert to code",
    r"\bhears of\b": "receives",
    r"last news": "updated",
    r"\bfor ever\b": "permanently",
    r"\bwhoever\b": "anyone who",
    r"\banew\b": "again",
    r"\bnobody can\b": "no connected agent can, unknown",
    r"\bby itself\b": "automatically",
    r"\bwhat becomes of\b": "result",
    r"\bany more\b": "no longer",
    r"\bwhat waits\b": "queued tasks",
    r"\bwhat became of\b": "result",
    r"\bnothing was changed\b": "No changes were made",
    r"\bis told\b": "receives, is reported",
    r" stands in ": "is in",
    r"\bended (badly|well)\b|\bfinished well\b": "failed, succeeded",
    r"\bit lasts\b|\bwhile it lasts\b": "it is open, ongoing",
    r"\bheld? back\b|\bholds back\b": "delayed",
    r"\bto go by\b": "too few samples",
    r"\bhands out\b": "delivers, serves",
    r"\btold apart\b": "distinguished",
    r"\bwhat people did\b": "actions of users",
    r"\bin the order in which they were made\b": "oldest first",
    r"\bwhere (it|that) is not known\b": "if unknown",
    r"\bis over already\b": "has already ended",
    r"\binvented\b": "generated, simulated",
    r"\bcarr(y|ies|ied) out\b": "execute",
    r"\bhanded (over|to|out)\b|\bhands? over\b": "sent, assigned",
    r"\bgoes on\b": "continues",
    r"\bfor good\b": "permanently",
    r"\bstrangers?\b": "unknown client, another client",
    r"\bbelieved\b": "accepted, trusted",
    r"\bmended\b": "fixed",
    r"\bcannot see\b": "does not detect",
    r"\bfaces?\b": "client, class",
    r"\bput back\b": "restored",
    r"\b(was|were|been|be|has|have|had) told\b": "reported, received",
    r"\bsomebody\b|\beverybody\b": "a user, all users",
    r"\bstands? (for|still)\b": "is replaced by, is stalled",
    r"\bit stands\b": "it is",
    r"\bset-up\b": "installation, configuration",
    r"\bwitnessed\b": "recorded",
    r"\bthe house\b": "z4j",
    r"Good to know": "Note",
    r"\bsure\?": "certainty",
}
"""Pattern → what to use. Python, case-sensitive where it has a capital letter. None of these occurs."""


class Line(NamedTuple):
    place: str
    text: str


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    listed = subprocess.run(["git", "ls-files", *SEARCHED], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = [name for name in listed if not name.startswith(NOT_SEARCHED) and name.endswith((".py", ".html", ".md", ".sql", ".js"))]
    found = [Line(f"{name}:{number}", text) for name in names for number, text in enumerate((ROOT / name).read_text().splitlines(), 1)]
    assert len(found) > 20_000, "the folders were searched"
    return found


def hits(lines: list[Line], pattern: str) -> list[str]:
    """file:line of each occurrence."""
    has_capital = any(letter.isupper() for letter in re.sub(r"\\.", "", pattern))
    search = re.compile(pattern, 0 if has_capital else re.IGNORECASE)
    return [line.place for line in lines for _ in search.finditer(line.text)]


@pytest.mark.parametrize("pattern", RETIRED)
def test_a_retired_name_does_not_come_back(lines: list[Line], pattern: str) -> None:
    found = hits(lines, pattern)
    assert not found, f"“{pattern}” is retired; use “{RETIRED[pattern]}”: {', '.join(found)}"


def test_the_search_finds_what_it_should(lines: list[Line]) -> None:
    sample = [*lines, Line("sample:1", "It is amiss; nobody can say. Whoever asks shall begin anew for ever.")]
    for pattern in (r"\bamiss\b", r"\bnobody can\b", r"\bwhoever\b", r"\bshall\b", r"\banew\b", r"\bfor ever\b"):
        assert "sample:1" in hits(sample, pattern)
        assert pattern in RETIRED
