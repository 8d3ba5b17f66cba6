# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of schedules, full and empty, for `test_templates`."""

from __future__ import annotations

import dataclasses
from typing import Any

from z4j.rules.schedules.schedule_health import Health
from z4j.store.schedules.fires import FireRow
from z4j.store.schedules.schedules import EditRow, ScheduleRow, SchedulerRow
from z4j.web.frame.render import Choice, Shell
from z4j.web.frame.times import TwoTimes
from z4j.web.pages.schedules import calendar
from z4j.web.pages.schedules import detail as schedule_detail
from z4j.web.pages.schedules import form as schedule_form
from z4j.web.pages.schedules import list as schedule_list


def pages(shell: Shell, evil: str, now: int) -> list[tuple[str, str, Any]]:
    row = ScheduleRow(
        3, 1, "shop", "production", "z4j", evil, "celery", evil, "cron", "30 2 * * *", "Europe/Berlin", evil, '["<b>"]', "{}", evil, 5,
        True, False, {}, evil, "skip", "allow", 2_000_000, now, now, 0, now + 5_000_000, now, "", now, None, True,
    )  # fmt: skip
    bar = schedule_list.Bar("late", 490, 3, evil, "/tasks?task_id=x")
    line = schedule_list.ScheduleLine(
        row, Health("missed", evil), "z4j", evil, schedule_list.Strip((("late", "M1 0h7v24h-7z"),), evil), "/schedules/3"
    )
    off = dataclasses.replace(
        line,
        row=dataclasses.replace(row, is_enabled=False, is_code=True, kind="interval", timezone="", is_overridden=False),
        strip=schedule_list.Strip(),
    )
    times = (TwoTimes(now, "Fri 27 Nov 02:30 +0100", "Fri 27 Nov 01:30 +0000"),)
    process = SchedulerRow(
        1, "shop", "z4j", "b", "production", "celery", "code", True, 5, "UTC", True, "", {evil: evil}, [evil], False, now, evil, evil, now
    )
    fires = (
        schedule_detail.FireLine(FireRow(1, 3, now, "b", now, "sent", False, False, evil, evil), "on time", 5, "/tasks?task_id=x"),
        schedule_detail.FireLine(FireRow(2, 3, now, "", None, "missed", False, False, "", evil), "missed", None, ""),
    )
    detail = schedule_detail.SchedulePage(
        shell, line, (bar,), fires, "/schedules/3?before=1", 5, None, 1, times, "UTC", ((evil, evil),),
        (EditRow(now, evil, "edited", evil, {"expression": [evil, evil]}), EditRow(now, evil, "created", "", {})), (process,),
        dict.fromkeys(schedule_detail.ACTS, ""), "/tasks?name=x", evil,
    )  # fmt: skip
    values = {
        "app": "shop", "scheduler": "z4j", "kind": "cron", "name": evil, "expression": evil, "args": evil, "notice": evil, "day_mon": "on",
    }  # fmt: skip
    preview = schedule_form.Preview(evil, evil)
    form = schedule_form.FormPage(
        shell, None, (), "z4j", "z4j", values, schedule_form.KINDS, ("UTC", evil), "", True, (("", "any"), (evil, evil)), ((evil, evil),),
        (evil,), (("", "any"), (evil, evil)), preview, False, "/schedules/new",
    )  # fmt: skip
    meant = schedule_form.Preview(description=evil, zone="UTC", viewer="UTC", times=times, warnings=(evil,), changes={"name": [evil, evil]})
    day = calendar.CalendarPage(
        shell, "UTC",
        (calendar.Quarter(now, 3, 100, True, evil, "/schedules/calendar?from=1&to=2"), calendar.Quarter(now, 0, 0, False, "", "")),
        ("00:00",) * 8, (calendar.Pile(now, "05:00", 3, "/schedules/calendar"),), (row,) * 13, (calendar.DueLine(now, evil, row, "z4j"),),
        "05:00 to 05:15", 3, 9,
    )  # fmt: skip
    choice = schedule_form.SchedulerChoice("shop", evil, "celery_beat", "Celery Beat", evil, "/schedules/new?scheduler=x")
    return [
        ("schedules", "schedules/list.html", schedule_list.SchedulesPage(
            shell, (line, off), "2 schedules", (Choice("z4j", "/schedules", True, 1), Choice("arq", "/schedules", False, 1)),
            (Choice("late", "/schedules", False, 1, "late"),), "/schedules", False, True, (evil,),
        )),
        ("schedules none", "schedules/list.html", schedule_list.SchedulesPage(shell, (), "", (), (), "/schedules", False, False, ())),
        ("schedules no match", "schedules/list.html", schedule_list.SchedulesPage(shell, (), "", (), (), "/schedules", True, False, ())),
        ("schedule", "schedules/detail.html", detail),
        ("schedule gone", "schedules/_gone.html", schedule_detail.GonePage()),
        ("schedule off", "schedules/detail.html", dataclasses.replace(detail, line=off, fires=(), strip=(), edits=(), processes=())),
        ("schedule of a viewer", "schedules/detail.html", dataclasses.replace(detail, why_not=dict.fromkeys(schedule_detail.ACTS, evil))),
        ("schedule choices", "schedules/form.html", dataclasses.replace(form, scheduler="", values={}, choices=(choice,))),
        ("schedule no choice", "schedules/form.html", dataclasses.replace(form, scheduler="", values={})),
        ("schedule form", "schedules/form.html", form),
        ("schedule edit", "schedules/form.html", dataclasses.replace(form, row=row, preview=meant, is_review=True)),
        ("schedule edit nothing", "schedules/form.html", dataclasses.replace(
            form, row=row, preview=schedule_form.Preview(), is_review=True
        )),
        ("schedule edit elsewhere", "schedules/form.html", dataclasses.replace(form, row=row, scheduler="celery_beat", one_zone="UTC")),
        ("schedule preview", "schedules/_preview.html", schedule_form.PreviewPart(meant)),
        ("schedule preview never", "schedules/_preview.html", schedule_form.PreviewPart(dataclasses.replace(meant, times=()))),
        ("calendar", "schedules/calendar.html", day),
        ("calendar empty", "schedules/calendar.html", dataclasses.replace(day, due=(), piles=(), often=(), shown="", more=0)),
    ]  # fmt: skip
