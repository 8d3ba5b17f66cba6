# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads a crontab file: which lines are schedules, and why others are not. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from z4j.rules.schedules.due_times import BadSchedule, zone_of
from z4j_agent.wire import cron
from z4j_agent.wire.cron import BadCron

_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")


@dataclass(frozen=True, slots=True)
class CrontabLine:
    """One line. `wrong` says why it is no schedule that can be held; then the rest is empty."""

    number: int
    text: str
    expression: str = ""
    zone: str = ""
    command: str = ""
    wrong: str = ""


def read_crontab(text: str, *, has_user: bool = False) -> list[CrontabLine]:
    """Returns every line of a crontab that defines a schedule, in order. `has_user`: a sixth field names a user, as in /etc/crontab.

    Comments, blank lines and assignments are ignored; CRON_TZ and TZ apply to the lines after them.
    """
    lines, zone = [], "UTC"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if assigned := _ASSIGNED.fullmatch(line):
            if assigned[1] in ("CRON_TZ", "TZ"):
                zone = assigned[2].strip().strip("\"'") or "UTC"
            continue
        fields = 1 if line.startswith("@") else 5
        parts = line.split(None, fields + has_user)
        if len(parts) <= fields + has_user:
            lines.append(CrontabLine(number, line, wrong="it has no command"))
            continue
        try:
            expression = cron.parse(" ".join(parts[:fields])).text
            zone_of(zone)
        except BadCron as error:
            # An alias that cron knows and that names no time, such as @reboot, says so itself.
            lines.append(CrontabLine(number, line, wrong=str(error).rstrip(".")))
        except BadSchedule as error:
            lines.append(CrontabLine(number, line, wrong=str(error).rstrip(".")))
        else:
            command = parts[-1].partition("%")[0].strip()
            lines.append(CrontabLine(number, line, expression, zone, command))
    return lines
