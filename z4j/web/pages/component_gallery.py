# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /patterns: every component with ordinary, empty, long, large and right-to-left values, in both themes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.tasks.states import STATES
from z4j.rules.workflows.workflow_graph import WorkflowLink, WorkflowTask, make_workflow, unknown_senders
from z4j.store.workflows.workflow_tasks import WorkflowRead
from z4j.web.frame import tracebacks, values
from z4j.web.frame.icons import LOOKS
from z4j.web.frame.render import Choice, ChoiceGroup, Notice, Number, Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.pages.chart_gallery import HEBREW, LONG, ChartSamples, make_samples
from z4j.web.pages.tasks.detail import Segment, Timeline
from z4j.web.pages.tasks.list import Line
from z4j.web.pages.tasks.workflow import WorkflowView, make_view

TRACE: Final = """Traceback (most recent call last):
  File "/srv/shop/mail.py", line 41, in deliver
    with connect(host) as smtp:
  File "/usr/lib/python3.11/smtplib.py", line 255, in __init__
    (code, msg) = self.connect(host, port)
ConnectionRefusedError: [Errno 111] Connection refused

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 479, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/shop/tasks.py", line 88, in send_campaign
    deliver(host, batch)
  File "/srv/shop/mail.py", line 44, in deliver
    raise MailDown(host) from error
shop.mail.MailDown: smtp.internal:587
"""


@dataclass(frozen=True, slots=True)
class ComponentGalleryPage:
    """The context of component_gallery.html."""

    shell: Shell
    now: int
    states: tuple[str, ...]
    lines: tuple[Line, ...]
    facet: ChoiceGroup
    numbers: tuple[Number, ...]
    notices: tuple[Notice, ...]
    trace: tracebacks.Trace
    plain_trace: tracebacks.Trace
    arguments: tuple[tuple[str, str], ...]
    json: str
    timeline: Timeline
    durations: tuple[int | None, ...]
    times: tuple[int | None, ...]
    charts: ChartSamples
    workflow: WorkflowView


async def show(request: Request) -> Response:
    """Renders the page."""
    return render(request, "component_gallery.html", make_page(await make_shell(request, "patterns")))


def make_page(shell: Shell) -> ComponentGalleryPage:
    """Returns the page with sample values that are hard to display."""
    now = shell.now
    second = 1_000_000
    lines = (
        _line(1, "running", "reports.export_pdf", now, args='{"report": 5512, "format": "a4"}', outcome="running for 48 s"),
        _line(2, "failed", "emails.send_campaign", now, reason="time_limit", args='["c_8812", 500]', outcome="MailDown: smtp.internal:587",
              attempt=3, is_bad=True),
        _line(3, "succeeded", LONG, now, args=f'{{"suppliers": {list(range(400))}}}', outcome="x" * 300, worker="w" * 90, queue="q" * 60),
        _line(4, "succeeded", HEBREW, now, args='["שלום", "•••"]', outcome='"נשלח"'),
        _line(5, "queued", "", now, is_open=True, worker="", queue=""),
        _line(6, "received", "billing.charge", now, is_open=True, cancel_asked_at=now, waited=48 * 3600 * second),
    )  # fmt: skip
    return ComponentGalleryPage(
        shell=shell,
        now=now,
        states=tuple(LOOKS),
        lines=lines,
        facet=ChoiceGroup(
            "Task name",
            (
                Choice("emails.send_campaign", "/patterns", True, 1_000_000),
                Choice(LONG, "/patterns", False, 12_418),
                Choice(HEBREW, "/patterns", False, 31),
                Choice("none.at_all", "/patterns", False, 0),
                Choice("not.counted", "/patterns"),
            ),
            (Choice("one.more", "/patterns", False, 1),),
            is_mono=True,
        ),
        numbers=(
            Number("finished / min", "1,000,000", "/patterns", "+6\u202f%"),
            Number("failed / hour", "1,204", "/patterns", "usual 31", "failed"),
            Number("longest wait", "6\u202fm\u202f12\u202fs", "/patterns", LONG),
            Number("silent agents", "0", "/patterns"),
        ),
        notices=(
            Notice("good", "Retry requested. The task will run again under a new ID (linked below).", "/patterns"),
            Notice("warn", "No changes were made. Type “stop” to confirm."),
            Notice("bad", "No connected agent can do this: no celery agent with this capability is connected. No changes were made."),
        ),
        trace=tracebacks.read("shop.mail.MailDown: smtp.internal:587", TRACE),
        plain_trace=tracebacks.read("WorkerLostError: signal 9 (SIGKILL)", ""),
        arguments=values.pairs('["c_8812", 500] {"token": "•••", "options": ' + str(list(range(40))) + ', "empty": null}'),
        json=values.pretty_text('{"indexed": 1200, "names": ["a", "b"], "nested": {"deep": [1, 2, {"deeper": "' + "x" * 90 + '"}]}}'),
        timeline=Timeline(
            "waited 4.2 s, then ran 12 s, then waited 20 s, then ran 3 s",
            (
                Segment("queued", "waited", "waited 4.2 s", 0, 107, 4_200_000),
                Segment("retrying", "ran, retrying", "ran 12 s", 107, 306, 12_000_000),
                Segment("retrying", "waited for retry", "waited 20 s", 413, 510, 20_000_000),
                Segment("failed", "ran, failed", "ran 3 s", 923, 77, 3_000_000),
            ),
        ),
        durations=(None, 0, 400, 12_000, 184_000, 4_800_000, 62_000_000, 11_100_000_000, 400_000_000_000),
        times=(None, now, now - 12 * second, now - 3_600 * second, now - 90_000 * second, now + 240 * second),
        charts=make_samples(now),
        workflow=_workflow(now),
    )


def _line(
    id: int, state: str, name: str, now: int, *, reason: str = "", args: str = "", outcome: str = "", attempt: int = 0,
    is_bad: bool = False, is_open: bool = False, worker: str = "w2@host-2", queue: str = "emails",
    cancel_asked_at: int | None = None, waited: int | None = 14_000_000,
) -> Line:  # fmt: skip
    return Line(
        id=id, state=state, reason=reason, name=name, label="", label_href="", engine="celery",
        task_id=f"b5a1f3c2-0000-4000-8000-00000000000{id}", queue=queue,
        queue_href="/patterns", worker=worker, attempt=attempt, args=args, outcome=outcome, is_bad=is_bad,
        is_open=is_open, cancel_asked_at=cancel_asked_at, waited_us=waited, runtime_us=None if is_open else 4_800_000,
        last_at=now - id * 7_000_000, action="retry" if is_bad else "", back="/patterns",
    )  # fmt: skip


def _workflow(now: int) -> WorkflowView:
    """A task in each state, a long and a right-to-left name, a retry, dependencies, 70 like siblings, and a group whose sender is
    not known."""
    names = ("shop.order", LONG, HEBREW, "billing.charge", "reports.total")
    tasks = [
        WorkflowTask(number, f"t{number}", names[number % 5], "celery", state, now + number, number * 400_000 if number % 3 else None)
        for number, state in enumerate(STATES)
    ]
    links = [WorkflowLink(0, 1, "parent"), WorkflowLink(0, 2, "parent"), WorkflowLink(1, 3, "parent"), WorkflowLink(2, 4, "parent")]
    links += [WorkflowLink(3, 5, "retry_of"), WorkflowLink(4, 6, "depends_on"), WorkflowLink(5, 6, "depends_on")]
    links += [WorkflowLink(0, number, "parent") for number in range(7, len(STATES))]
    last = len(STATES)
    tasks += [WorkflowTask(last + n, f"m{n}", "emails.send", "celery", "succeeded", now + 99, 90_000) for n in range(70)]
    links += [WorkflowLink(6, last + number, "parent") for number in range(70)]
    members = [WorkflowTask(last + 100 + n, f"g{n}", "media.resize", "huey", "running", now + 99) for n in range(2)]
    senders, of_group = unknown_senders({task.id: task for task in members}, (), {"g": [task.id for task in members]})
    workflow = make_workflow([*tasks, *members, *senders], [*links, *of_group, WorkflowLink(members[0].id, 6, "depends_on")])
    return make_view(WorkflowRead(workflow, is_complete=False), 3)
