# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides which events of one task id belong to which of its executions, where the application uses an id again.

No engine guarantees that an id is used once, and none has a field for a mark that the task does not see. Executions are therefore computed
here, as a function of the set of events; order and copies do not matter. An execution begins with a run that starts after the end of every
earlier one, or with a first attempt that is enqueued after it. It does not begin with a delivery that is marked as redelivered, a later
attempt, a run that follows `lost` or `retried`, or, between the clocks of two hosts, an event within SKEW_US of the previous end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import le
from typing import Final, NamedTuple

from z4j.rules.tasks.fold import ENDS, Event

SKEW_US: Final = 5_000_000
"""How far apart the clocks of two hosts may be. What one host has reported is compared exactly."""
ENDING: Final = frozenset(ENDS) | {"retried"}
REDELIVERED: Final = 1
SENDER: Final = 2
"""The rank of arguments that the producer reported."""


class ReportedEvent(NamedTuple):
    """An event and whose clock its times are by: the host, else the boot, "" if unknown."""

    event: Event
    clock: str


class Execution(NamedTuple):
    """The events of one execution. `is_unmarked`: nothing but the time of its run says that it is another one than the execution before."""

    reports: list[ReportedEvent]
    is_unmarked: bool


class _Run:
    """One execution: an attempt by its moment of start, or of its end if no start was reported."""

    __slots__ = ("attempt", "clock", "end", "is_final", "is_marked", "received", "reports", "start", "won")

    def __init__(self, attempt: int, start: int) -> None:
        self.attempt, self.start = attempt, start
        self.end = self.received = -1
        self.clock = ""
        self.is_final = self.is_marked = self.won = False
        self.reports: list[ReportedEvent] = []

    def add(self, report: ReportedEvent) -> None:
        event = report.event
        self.reports.append(report)
        self.clock = max(self.clock, report.clock)
        self.received = max(self.received, event.received_at)
        self.is_marked = self.is_marked or bool(event.flags & REDELIVERED)
        if event.kind in ENDING:
            self.end = max(self.end, event.at)
            self.is_final = self.is_final or event.kind in ENDS
            self.won = self.won or event.kind == "succeeded"

    def is_only_lost(self) -> bool:
        """Whether its loss is all that is known of it."""
        return all(report.event.kind == "lost" and report.event.started_at < 0 for report in self.reports)


class _OpenExecution:
    """An execution while its events are gathered. `pending`: when it was enqueued or received, for one that has not run yet."""

    def __init__(self, first: _Run | None = None, pending: int = -1, clock: str = "") -> None:
        self.runs = [first] if first else []
        self.reports: list[ReportedEvent] = []
        self.enqueued: list[ReportedEvent] = []
        self.receipts: list[int] = []
        self.pending = pending
        self.pending_clock = clock

    @property
    def first(self) -> tuple[int, str]:
        """When it was first seen at a worker, by which clock."""
        if not self.runs:
            return self.pending, self.pending_clock
        run = self.runs[0]
        return (run.received if 0 <= run.received <= run.start else run.start), run.clock

    def is_over_before(self, at: int, clock: str, *, skew: int = SKEW_US) -> bool:
        """Whether its newest run has finally ended, and every end it has is earlier than `at`."""
        if not self.runs or not self.runs[-1].is_final:
            return False
        return all(_is_after(at, clock, run.end, run.clock, skew) for run in self.runs if run.is_final)

    def over_at(self) -> int:
        return max((run.end for run in self.runs if run.is_final), default=-1)


def _is_after(at: int, clock: str, end: int, end_clock: str, skew: int = SKEW_US) -> bool:
    return at > end + (0 if clock and clock == end_clock else skew)


def split(reported: Iterable[ReportedEvent]) -> list[Execution]:
    """Splits the events of one task id into its executions, the earliest first."""
    # A copy may have two clocks: the better known one is the greater text.
    clocks: dict[Event, str] = {}
    for report in reported:
        clocks[report.event] = max(clocks.get(report.event, ""), report.clock)
    everything = sorted((ReportedEvent(event, clock) for event, clock in clocks.items()), key=_order)
    enqueued = [report for report in everything if report.event.kind == "enqueued" and not report.event.attempt]
    receipts = [report for report in everything if report.event.kind == "received"]
    executions = _chain(_runs(everything, enqueued), enqueued, receipts)
    _place_enqueued(executions, enqueued)
    receipts = _place_receipts(executions, receipts)
    starts = _starts(executions)
    rest = [
        report
        for report in everything
        if report.event.kind not in PLACED and not (report.event.kind == "enqueued" and not report.event.attempt)
    ]
    for report in receipts:
        executions[_at(starts, report.event.at)].reports.append(report)
    anchors = [(report, index) for index, execution in enumerate(executions) for report in execution.reports]
    anchors += [(start, index) for index, execution in enumerate(executions) for run in execution.runs for start in _starts_of(run)]
    payloads = [report for report in rest if report.event.kind == "payload"]
    for report in rest:
        event = report.event
        if event.kind == "enqueued":
            executions[_republished(executions, starts, event)].reports.append(report)
        elif event.kind == "due":
            same = (index for about, index in anchors if about.event.eta == event.at and about.event.attempt == event.attempt)
            executions[next(same, _at(starts, event.at))].reports.append(report)
        elif event.kind == "moved" and not event.queue:
            executions[_find_execution(executions, starts, event.at)].reports.append(report)
        elif event.kind != "payload":
            executions[_at(starts, event.at)].reports.append(report)
    for report, index in _pair(payloads, anchors):
        executions[_find_execution(executions, starts, report.event.at) if index is None else index].reports.append(report)
    return [_finished(execution, is_first=not index) for index, execution in enumerate(executions)]


PLACED: Final = ENDING | {"started", "received", "lost", "alive"}
"""Kinds that `_runs` and `_place_receipts` place."""


def _order(report: ReportedEvent) -> tuple[int, str, int, ReportedEvent]:
    return (report.event.at, report.event.kind, report.event.attempt, report)


def _finished(execution: _OpenExecution, *, is_first: bool) -> Execution:
    events = sorted([*execution.reports, *(report for run in execution.runs for report in run.reports)], key=_order)
    return Execution(events, not is_first and bool(execution.runs) and not execution.enqueued)


# -- runs ------------------------------------------------------------------------------------------------------------------
def _runs(everything: Sequence[ReportedEvent], enqueued: Sequence[ReportedEvent]) -> list[_Run]:
    """The executions, by start. Ends carry their own start; one without it is of the run it can only mean, or of a task that never ran."""
    runs: dict[tuple[int, int], _Run] = {}
    loose: list[ReportedEvent] = []
    for report in everything:
        event = report.event
        if event.kind not in ENDING and event.kind not in ("started", "lost", "alive"):
            continue
        start = event.at if event.kind == "started" else event.started_at
        if start < 0:
            loose.append(report)
        else:
            runs.setdefault((event.attempt, start), _Run(event.attempt, start)).add(report)
    started = sorted(runs.values(), key=lambda run: (run.start, run.attempt))
    ends = {id(run): run.end for run in started}
    unstarted: list[_Run] = []
    for report in loose:
        event = report.event
        candidates = [run for run in started if run.attempt == event.attempt and run.start <= event.at + _slack(report, run)]
        own = [run for run in candidates if any(mine.event.run == event.run for mine in run.reports)]
        chosen = own or candidates
        run = chosen[-1] if chosen else None
        if run is None or (event.kind in ENDS and _is_later_end(event, ends[id(run)], enqueued)):
            run = next((known for known in unstarted if known.attempt == event.attempt and known.start == event.at), None)
            if run is None:
                run = _Run(event.attempt, event.at)
                unstarted.append(run)
        run.add(report)
    return sorted([*started, *unstarted], key=lambda run: (run.start, run.attempt))


def _is_later_end(event: Event, end: int, enqueued: Sequence[ReportedEvent]) -> bool:
    """Whether an end is not that of a run which ended at `end`: it came much later, or the task was enqueued in between."""
    return end >= 0 and (end < event.at - SKEW_US or any(end < event_enqueued.event.at <= event.at for event_enqueued in enqueued))


def _slack(report: ReportedEvent, run: _Run) -> int:
    return 0 if report.clock and report.clock == run.clock else SKEW_US


def _chain(runs: Sequence[_Run], enqueued: Sequence[ReportedEvent], receipts: Sequence[ReportedEvent]) -> list[_OpenExecution]:
    executions: list[_OpenExecution] = []
    for run in runs:
        if not executions or _begins(run, executions, enqueued, receipts):
            executions.append(_OpenExecution(run))
        else:
            executions[-1].runs.append(run)
    return executions or [_OpenExecution()]


def _begins(run: _Run, executions: Sequence[_OpenExecution], enqueued: Sequence[ReportedEvent], receipts: Sequence[ReportedEvent]) -> bool:
    execution = executions[-1]
    if run.is_marked:
        return False
    if run.is_only_lost():
        # The loss of a process does not report when its run began: it can be that of any attempt before, unless another was announced.
        announced = (report for report in (*enqueued, *receipts) if not report.event.attempt and report.event.at <= run.start)
        return not run.attempt and any(execution.is_over_before(report.event.at, report.clock) for report in announced)
    if run.attempt:
        # A retry never begins an execution. But RQ's Repeat counts on where nothing has failed, and so do older agents.
        return all(other.won for other in execution.runs) and execution.is_over_before(run.start, run.clock)
    if execution.is_over_before(run.start, run.clock):
        return True
    sent = [report for report in enqueued if _is_sent(report) and not _is_after(report.event.at, report.clock, run.start, run.clock)]
    if len(sent) > len(executions) and execution.is_over_before(run.start, run.clock, skew=0):
        return True  # as many were sent, by clocks that are the same or not
    last = execution.runs[-1]
    gone = [report.event.at for report in last.reports if report.event.kind == "lost"]
    if gone and not last.is_final:
        return any(report.event.at > max(gone) for report in sent)
    # It has not ended yet, as far as is known, and was sent once more meanwhile. A task that sends itself again ends in a retry.
    is_retried = last.end >= 0 and not last.is_final
    return (
        not is_retried
        and len(sent) > len(executions)
        and any(_is_after(report.event.at, report.clock, last.start, last.clock) for report in sent)
    )


def _is_sent(report: ReportedEvent) -> bool:
    """Whether an application sent it, as opposed to a message that is reported again when it is released or becomes due."""
    return bool(report.event.sent and report.event.sent[4])


# -- what belongs to them --------------------------------------------------------------------------------------------------
def _place_enqueued(executions: list[_OpenExecution], enqueued: Sequence[ReportedEvent]) -> None:
    """Gives each execution what was enqueued between the execution before it and its own start; if nothing was, the earliest spare one."""
    moments = sorted({report.event.at for report in enqueued})
    groups = [[report for report in enqueued if report.event.at == at] for at in moments]
    spare: list[tuple[int, list[ReportedEvent]]] = []
    after: list[list[ReportedEvent]] = []
    for index, execution in enumerate(executions):
        at, clock = execution.first
        own = [group for group in groups if not _is_after(group[0].event.at, group[0].clock, at, clock)]
        groups = [group for group in groups if group not in own]  # by the clocks of several hosts, these need not be the first
        if not own and spare:
            own = [spare.pop(0)[1]]
        for number, group in enumerate(own):
            if number and _is_sent(group[0]):
                spare.append((index, group))
            else:
                execution.enqueued += group
    for index, group in spare:
        last = executions[-1]
        is_later = index == len(executions) - 1 and last.is_over_before(group[0].event.at, group[0].clock, skew=0)
        (after.append(group) if is_later else executions[index].enqueued.extend(group))
    after += groups
    last = executions[-1]
    for group in sorted(after, key=lambda group: group[0].event.at):
        at = group[0].event.at
        lost = [report.event.at for report in last.runs[-1].reports if report.event.kind == "lost"] if last.runs else []
        newest = last.runs[-1] if last.runs else None
        # What was enqueued before its newest run started, that run was enqueued by: a task that was replaced, or sent again.
        is_after = newest is not None and newest.is_final and _is_after(at, group[0].clock, newest.start, newest.clock)
        if is_after or (lost and at > max(lost) and _is_sent(group[0])):
            last = _OpenExecution(pending=at, clock=group[0].clock)
            executions.append(last)
        last.enqueued += group
    for execution in executions:
        execution.reports += execution.enqueued


def _place_receipts(executions: list[_OpenExecution], receipts: Sequence[ReportedEvent]) -> list[ReportedEvent]:
    """Ends say when their run was received; what is left goes to runs in the order they started. Returns what belongs to none of them."""
    runs = [(run, execution) for execution in executions for run in execution.runs]
    by_receipt = {(run.attempt, run.received): execution for run, execution in runs if run.received >= 0}
    unreceived = [(run, execution) for run, execution in runs if run.received < 0]
    left: list[ReportedEvent] = []
    for report in receipts:
        event = report.event
        execution = by_receipt.get((event.attempt, event.at))
        if execution is None:
            fitting = (
                pair for pair in unreceived if pair[0].attempt == event.attempt and event.at <= pair[0].start + _slack(report, pair[0])
            )
            pick = next(fitting, None)
            earlier = [known for known in executions[: executions.index(pick[1])] if event.at <= known.first[0]] if pick is not None else []
            if earlier and not any(about.event[:2] == event[:2] for about in earlier[0].reports):
                execution = earlier[0]  # what it was received for is not reported yet
            elif pick is not None:
                unreceived.remove(pick)
                execution = pick[1]
            if execution is not None:
                by_receipt[event.attempt, event.at] = execution
        if execution is not None:
            execution.reports.append(report)
        elif not event.attempt and not event.flags & REDELIVERED and executions[-1].is_over_before(event.at, report.clock):
            executions.append(_OpenExecution(pending=event.at, clock=report.clock))
            executions[-1].reports.append(report)
        else:
            left.append(report)
    return left


def _starts(executions: Sequence[_OpenExecution]) -> list[int]:
    """From when on what happens to the id is about each execution."""
    starts: list[int] = []
    over = -1
    for execution in executions:
        moments = [report.event.at for report in execution.reports] + [run.start for run in execution.runs]
        starts.append(max(min(moments, default=-1), over))
        over = max(over, execution.over_at())
    return starts


def _at(starts: Sequence[int], at: int) -> int:
    return max((index for index, start in enumerate(starts) if start <= at), default=0)


def _find_execution(executions: Sequence[_OpenExecution], starts: Sequence[int], at: int) -> int:
    """The execution of arguments that were reported at that time: one that is about to be reported, if the one before it has ended."""
    index = _at(starts, at)
    is_next = index + 1 < len(executions) and at > executions[index].over_at() and starts[index + 1] <= at + SKEW_US
    return index + is_next


def _starts_of(run: _Run) -> list[ReportedEvent]:
    """What was reported of the start of a run; an end names its start, too."""
    starts = [report for report in run.reports if report.event.kind == "started"]
    ends = [report for report in run.reports if report.event.kind in ENDING and report.event.started_at >= 0]
    return starts or [ReportedEvent(end.event._replace(kind="started", at=end.event.started_at), end.clock) for end in ends]


def _republished(executions: Sequence[_OpenExecution], starts: Sequence[int], event: Event) -> int:
    """The execution of a later attempt that is enqueued: of the run it was sent for, else of what ran then."""
    for index, execution in enumerate(executions):
        if any(run.attempt == event.attempt and run.start >= event.at for run in execution.runs):
            return index
    return _at(starts, event.at)


def _pair(payloads: Sequence[ReportedEvent], anchors: Sequence[tuple[ReportedEvent, int]]) -> list[tuple[ReportedEvent, int | None]]:
    """Each payload with the execution for which its process reported it. A thread may report it late, but in order."""
    pairs: list[tuple[ReportedEvent, int | None]] = []
    groups: dict[tuple[str, int, bool], list[ReportedEvent]] = {}
    for report in payloads:
        groups.setdefault((report.event.run, report.event.attempt, report.event.rank >= SENDER), []).append(report)
    for (run, attempt, is_sender), group in groups.items():
        kind, index_by_moment = _other_reports(run, attempt, ("enqueued",) if is_sender else ("received", "started"), group, anchors)
        moments, at = sorted(index_by_moment), sorted({report.event.at for report in group})
        for report in group:
            if moments and len(at) == len(moments) and all(map(le, moments, at)):
                moment: int | None = moments[at.index(report.event.at)]
            else:
                moment = _moment_of(report.event.at, moments, is_start=kind == "started")
            pairs.append((report, None if moment is None else index_by_moment[moment]))
    return pairs


def _other_reports(
    run: str, attempt: int, kinds: Sequence[str], group: Sequence[ReportedEvent], anchors: Sequence[tuple[ReportedEvent, int]]
) -> tuple[str, dict[int, int]]:
    """Returns what a process reported beside its payloads: of the first kind that it reported itself (the main process the receipt, the one
    that runs the task the start), else of the first reported kind. The kind, and {moment: execution}."""
    found: list[tuple[str, dict[int, int]]] = []
    for kind in kinds:
        about = [(report.event, index) for report, index in anchors if report.event.kind == kind and report.event.attempt == attempt]
        own = {event.at: index for event, index in about if run and event.run == run}
        # An event that a row was split into has no process: it is the same event only if both are close in time.
        close = {event.at: index for event, index in about if not (event.run and run) and _is_close(event.at, group)}
        if own:
            return kind, close | own
        found.append((kind, close))
    return next((each for each in found if each[1]), found[-1])


def _moment_of(at: int, moments: Sequence[int], *, is_start: bool) -> int | None:
    """Returns the moment that a payload at `at` belongs to. A receipt is reported before it, a start right before or after it."""
    nearest = min(moments, key=lambda moment: abs(moment - at), default=None)
    if nearest is not None and is_start and abs(nearest - at) <= SKEW_US:
        return nearest
    return max((moment for moment in moments if moment <= at), default=None)


def _is_close(at: int, reported: Iterable[ReportedEvent]) -> bool:
    return any(abs(report.event.at - at) <= SKEW_US for report in reported)
