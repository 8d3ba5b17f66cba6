# SPDX-License-Identifier: Apache-2.0
"""Cron expressions as the two libraries of RQ's schedulers read them, to and from z4j's. Pure.

rq-scheduler uses `crontab`: a day must match both its number and its weekday, and the second is the first of seven fields. RQ's own cron
uses `croniter`: if both are restricted, one match suffices, and the second is the last of six fields. A library receives the typed text
if it reads the same sets from it, and plain lists otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from z4j_agent.capture.guard import let_through
from z4j_agent.contract.adapter import Refused
from z4j_agent.wire import cron
from z4j_agent.wire.cron import BadCron, Cron

ALL_DAYS = frozenset(range(1, 32))
ALL_WEEKDAYS = frozenset(range(7))
_RANGES = (range(60), range(60), range(24), range(1, 32), range(1, 13), range(7))
"""Second, minute, hour, day, month, weekday from Sunday, 0."""
_NEAREST = re.compile(r"\d+w|w\d+")


def sets_of(cron: Cron) -> tuple[frozenset[int] | None, ...]:
    """Returns the sets of an expression. Second 0 alone equals no seconds."""
    return None if cron.seconds == frozenset({0}) else cron.seconds, *cron.sets


class Crontab:
    """`crontab`, of rq-scheduler."""

    @staticmethod
    def order(text: str) -> str:
        """z4j's text in the library's order of fields."""
        return f"{text} *" if text.count(" ") == 5 else text

    @staticmethod
    def disorder(text: str) -> str:
        """Returns the library's text in z4j's order, if that is possible."""
        parts = text.split()
        return " ".join(parts[:6]) if len(parts) == 7 else text

    @staticmethod
    def read(text: str) -> Cron | None:
        """None for text without a form in z4j's expressions: L, Z, years."""
        import crontab  # type: ignore[import-untyped]

        *fields, year = crontab.CronTab(text).matchers
        if not year.any or any(piece[:1] in ("l", "z") for field in fields for piece in field.split):
            return None
        return _sets([None if field.any else field.allowed for field in fields])


class Croniter:
    """`croniter`, of RQ's own cron."""

    @staticmethod
    def order(text: str) -> str:
        second, _, rest = text.partition(" ")
        return f"{rest} {second}" if text.count(" ") == 5 else text

    @staticmethod
    def disorder(text: str) -> str:
        rest, _, second = text.strip().rpartition(" ")
        return f"{second} {rest}" if len(text.split()) == 6 else text

    @staticmethod
    def read(text: str) -> Cron | None:
        """None for text without a form in z4j's expressions: L, W, #, H, R, years."""
        from croniter import croniter

        fields, nth = croniter.expand(text)
        lists: list[Any] = [None if field == ["*"] else field for field in fields]
        if (
            nth
            or _NEAREST.search(text.lower())
            or len(lists) > 6
            or any(not isinstance(number, int) for field in lists for number in field or ())
        ):
            return None
        second = lists.pop() if len(lists) == 6 else [0]
        day, weekday = lists[2], lists[4]
        if day is not None and weekday is not None and (len(set(day)) == 31 or len({number % 7 for number in weekday}) == 7):
            lists[2] = lists[4] = None  # one match suffices, and one of them always matches
        return _sets([second, *lists])


Dialect = type[Crontab] | type[Croniter]


def _sets(lists: list[Iterable[int] | None]) -> Cron:
    second, minute, hour, day, month, weekday = (
        frozenset(span if numbers is None else numbers) for numbers, span in zip(lists, _RANGES, strict=True)
    )
    return Cron.of(minute, hour, day, month, ((number - 1) % 7 for number in weekday), None if second == {0} else second)


def read(dialect: Dialect, text: str) -> Cron | None:
    """Returns the sets that the library reads; None also if it cannot read the text."""
    try:
        return dialect.read(text)
    except Exception as error:
        let_through(error)
        return None  # the libraries raise any exception, for example AttributeError; the text is then shown unchanged


def handed(dialect: Dialect, cron: Cron) -> str:
    """Returns the library's text for this expression. Raises Refused if the library does not support it."""
    for candidate in (cron.text, _plain(cron)):
        given = dialect.order(candidate)
        if (reading := read(dialect, given)) is not None and sets_of(reading) == sets_of(cron):
            return given
    raise Refused("its cron library does not support this expression. No changes were made.")


def shown(dialect: Dialect, text: str) -> str | None:
    """z4j's expression for a library's; None where there is none."""
    understood = read(dialect, text)
    if understood is None:
        return None
    try:
        parsed = cron.parse(dialect.disorder(text))
    except BadCron:
        return understood.text
    return parsed.text if sets_of(parsed) == sets_of(understood) and parsed.seconds == understood.seconds else understood.text


def _plain(cron: Cron) -> str:
    """Lists of numbers, and `*` if everything matches."""
    second, *rest = sets_of(cron)
    rest[-1] = frozenset((number + 1) % 7 for number in cron.weekdays)
    fields = list(zip(rest, _RANGES[1:], strict=True))
    if second is not None:
        fields.insert(0, (second, _RANGES[0]))
    return " ".join(
        "*" if len(numbers) == len(span) else ",".join(map(str, sorted(numbers))) for numbers, span in fields if numbers is not None
    )


# -- checks of requests-----------------------------------------------------------------------------------------
def check_priority(priority: int | None) -> None:
    """Raises Refused."""
    if priority is not None:
        raise Refused("RQ does not support priorities; choose another queue. No changes were made.")
