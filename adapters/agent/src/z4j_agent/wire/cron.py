# SPDX-License-Identifier: Apache-2.0
"""Cron expressions in z4j's form, for every scheduler. Pure; the server reads them with the same code.

Five fields (minute, hour, day, month, weekday), or six with the second in front. Weekdays are always written by name, because 0 is
Sunday in cron, Celery and Huey, and Monday in APScheduler and arq; months by number. Elements with the same meaning everywhere are allowed:
`*`, numbers, names, lists, ranges and steps. `L`, `W`, `#`, `H` and `R` are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
ALIASES: Final = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * sun", "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
BOUNDS: Final = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
"""Lowest and highest number of each field. A weekday is 0 (Sunday) to 7 (Sunday again) while it is read; it is always written by name."""
LONGEST: Final = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
MAX_LENGTH: Final = 200
SECOND: Final = 1_000_000
HORIZON_DAYS: Final = 15_000
"""The 29th of February is a Monday every 28 years, and over 2100 only after 40."""
_MAX_SHIFT_S: Final = 3 * 3_600
"""No time zone has changed its clocks by more within a day."""
_HOUR: Final = timedelta(hours=1)


class BadCron(ValueError):
    """The text is not an expression. The message is a sentence with the reason."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The sets of matching numbers. `weekdays` count from Monday, 0. `seconds` is None in an expression of five fields."""

    seconds: frozenset[int] | None
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    fields: tuple[str, ...]
    """The five texts from the minute on."""

    @property
    def is_any_day(self) -> bool:
        """Whether every day of a month matches, as with `*`: then only the weekday restricts."""
        return len(self.days) == 31

    @property
    def is_any_weekday(self) -> bool:
        """Whether every weekday matches, as with `*`: then only the day of the month restricts."""
        return len(self.weekdays) == 7

    @property
    def is_every_hour(self) -> bool:
        """Whether every hour matches: then a local hour that occurs twice is due twice, see `next_after`."""
        return len(self.hours) == 24

    @classmethod
    def of(
        cls,
        minutes: Iterable[int],
        hours: Iterable[int],
        days: Iterable[int],
        months: Iterable[int],
        weekdays: Iterable[int],
        seconds: Iterable[int] | None = None,
    ) -> Cron:
        """Makes an expression of a scheduler's sets. An empty set never matches."""
        sets = frozenset(minutes), frozenset(hours), frozenset(days), frozenset(months), frozenset(weekdays)
        fields = _text(sets[0], 0, 59), _text(sets[1], 0, 23), _text(sets[2], 1, 31), text_of_months(sets[3]), text_of_weekdays(sets[4])
        return cls(None if seconds is None else frozenset(seconds), *sets, fields)

    @property
    def sets(self) -> tuple[frozenset[int], ...]:
        """The matching minutes, hours, days, months and weekdays."""
        return self.minutes, self.hours, self.days, self.months, self.weekdays

    @property
    def text(self) -> str:
        """The expression as text. Equivalent expressions may have different texts, but `*` is written if everything matches."""
        first = () if self.seconds is None else (_text(self.seconds, 0, 59),)
        return " ".join((*first, *self.fields))

    def matches_day(self, day: date, *, day_or: bool = True) -> bool:
        """Whether a day matches. `day_or`: if both day and weekday are restricted, one of them is sufficient, as in cron. Huey, arq,
        rq-scheduler and APScheduler require both."""
        is_day, is_weekday = day.day in self.days, day.weekday() in self.weekdays
        day_or = day_or and not self.is_any_day and not self.is_any_weekday
        return day.month in self.months and ((is_day or is_weekday) if day_or else (is_day and is_weekday))

    def next_after(self, at: int, zone: tzinfo, *, day_or: bool = True, by_clock: bool = False) -> int | None:
        """Returns the first due time after `at`, in microseconds UTC; None if there is none within forty years.

        On the day of a clock change there are two rules. By z4j's own, a local time that does not exist is due later by the skipped
        time, and one that occurs twice is due the first time, or both times if every hour matches. `by_clock` is the rule of schedulers
        that check the clock every minute (Huey, taskiq): a time that does not exist is skipped, a repeated one is due twice.
        """
        if not (self.minutes and self.hours and self.seconds != frozenset()):
            return None
        after = at // SECOND
        # From the day before: a time that the clocks skip at its end is due today.
        day = datetime.fromtimestamp(after, UTC).astimezone(zone).date() - timedelta(days=1)
        best: int | None = None
        for _ in range(HORIZON_DAYS):
            if best is not None and _start_of(day, 0, zone) - _MAX_SHIFT_S > best:
                break
            if self.matches_day(day, day_or=day_or):
                for hour in sorted(self.hours):
                    start = _start_of(day, hour, zone)
                    if best is not None and start - _MAX_SHIFT_S > best:
                        break
                    if start + _MAX_SHIFT_S + 3_600 > after:
                        due = min((due for due in self._within(day, hour, zone, after, by_clock=by_clock) if due > after), default=None)
                        best = due if best is None or (due is not None and due < best) else best
            day += timedelta(days=1)
        return None if best is None else best * SECOND

    def _within(self, day: date, hour: int, zone: tzinfo, after: int, *, by_clock: bool) -> Iterator[int]:
        """The due times in one local hour, as seconds UTC; if the clocks do not change, only the first one after `after`."""
        start = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
        end = (start.replace(tzinfo=None) + _HOUR).replace(tzinfo=zone)
        seconds = sorted(self.seconds) if self.seconds is not None else [0]
        if len({moment.replace(fold=fold).utcoffset() for moment in (start, end) for fold in (0, 1)}) == 1:
            first = int(start.timestamp())
            for minute in sorted(self.minutes):
                if first + minute * 60 + seconds[-1] > after:
                    yield next(due for second in seconds if (due := first + minute * 60 + second) > after)
                    return
            return
        for minute in self.minutes:
            for second in seconds:
                yield from _instants(start.replace(minute=minute, second=second), by_clock=by_clock, is_hourly=self.is_every_hour)


def _start_of(day: date, hour: int, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp())


def _instants(local: datetime, *, by_clock: bool, is_hourly: bool) -> Iterator[int]:
    """A local time as seconds UTC."""
    first, second = (int(local.replace(fold=fold).timestamp()) for fold in (0, 1))
    if not by_clock:
        yield first  # for a time that does not exist: later by the skipped time
        if is_hourly and second > first:
            yield second
        return
    for due in (first, second):
        if datetime.fromtimestamp(due, UTC).astimezone(local.tzinfo).replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0):
            yield due


def parse(text: str) -> Cron:
    """Parses an expression of five or six fields or one of ALIASES, in any case of letters. Raises BadCron."""
    text = " ".join(text.lower().split())
    if len(text) > MAX_LENGTH:
        raise BadCron(f"An expression has at most {MAX_LENGTH} characters.")
    if text == "@reboot":
        raise BadCron("@reboot is not supported: it has no time.")
    parts = ALIASES.get(text, text).split(" ")
    if len(parts) not in (5, 6) or not text:
        raise BadCron("An expression has five fields (minute, hour, day, month, weekday) or six, with seconds first.")
    seconds = _set("second", parts[0]) if len(parts) == 6 else None
    minute, hour, day, month, weekday = parts[-5:]
    days, months = _set("day", day), _set("month", month, MONTHS, 1)
    weekdays = frozenset((number - 1) % 7 for number in _set("weekday", weekday, ("sun", *WEEKDAYS[:6]), 0))
    cron = Cron(
        seconds, _set("minute", minute), _set("hour", hour), days, months, weekdays,
        (_plain(minute, 60), _plain(hour, 24), "*" if len(days) == 31 else day, text_of_months(months), text_of_weekdays(weekdays)),
    )  # fmt: skip
    if cron.is_any_weekday and min(days) > max(LONGEST[number] for number in months):
        raise BadCron(f"None of these months has a day {min(days)}.")
    return cron


def expression(
    minutes: Iterable[int],
    hours: Iterable[int],
    days: Iterable[int],
    months: Iterable[int],
    weekdays: Iterable[int],
    seconds: Iterable[int] | None = None,
) -> str:
    """Returns the expression that matches these sets; weekdays count from Monday, 0."""
    fields = (
        _text(minutes, 0, 59), _text(hours, 0, 23), _text(days, 1, 31), text_of_months(frozenset(months)),
        text_of_weekdays(frozenset(weekdays)),
    )  # fmt: skip
    return " ".join(fields if seconds is None else (_text(seconds, 0, 59), *fields))


def text_of_weekdays(weekdays: Iterable[int]) -> str:
    """Weekdays by name. Runs of three and more become ranges, never over Sunday: its position in a week differs between schedulers."""
    numbers = frozenset(weekdays)
    if len(numbers) == 7:
        return "*"
    pieces = [_range(run, WEEKDAYS) for run in _runs(numbers - {6})]
    return ",".join([*pieces, *(["sun"] if 6 in numbers else [])])


def text_of_months(months: Iterable[int]) -> str:
    """Returns months, January being 1, as a field by number: `*`, a step from January on, or a list of ranges."""
    return _text(months, 1, 12)


def _plain(field: str, count: int) -> str:
    """The text as typed, or `*` if everything matches."""
    bounds = BOUNDS["minute" if count == 60 else "hour"]
    return "*" if len(_expanded(field, *bounds, {})) == count else field


def _set(kind: str, text: str, names: tuple[str, ...] = (), first: int = 0) -> frozenset[int]:
    low, high = BOUNDS[kind]
    words = {name: number for number, name in enumerate(names, first)}
    try:
        return frozenset(_expanded("*" if text == "?" and kind in ("day", "weekday") else text, low, high, words))
    except BadCron as error:
        raise BadCron(f"{kind.capitalize()}: {error}") from None
    except ValueError:
        hint = ""
        if any(letter in text for letter in "lw#hr?") and not set(text) & set("-,/"):
            hint = " L, W, # and the like are not supported: their meaning differs between schedulers."
        raise BadCron(f"“{text}” is not a valid {kind}.{hint}") from None


def _expanded(text: str, low: int, high: int, words: Mapping[str, int]) -> set[int]:
    expanded: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if slash else 1
        if step < 1:
            raise BadCron(f"“{part}” has no step.")
        start, dash, end = span.partition("-")
        if span == "*":
            first, last = low, 6 if high == 7 else high
        else:
            first = _number(start, words)
            last = _number(end, words) if dash else (high if slash else first)
        if not (low <= first <= high and low <= last <= high):
            raise BadCron(f"“{part}” is outside the range {low} to {high}.")
        if first > last:
            if not words:
                raise BadCron(f"The range “{span}” is reversed.")
            last += 7 if high == 7 else 12
        size = 7 if high == 7 else high
        expanded.update((number - low) % size + low if words else number for number in range(first, last + 1, step))
    return expanded


def _number(text: str, words: Mapping[str, int]) -> int:
    if text in words:
        return words[text]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _runs(numbers: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _range(run: list[int], words: tuple[str, ...] = ()) -> str:
    texts = [words[number] if words else str(number) for number in run]
    return f"{texts[0]}-{texts[-1]}" if len(run) > 2 else ",".join(texts)


def _text(numbers: Iterable[int], low: int, high: int) -> str:
    """The shortest of `*`, a step over all, and a list of ranges."""
    ordered = sorted(set(numbers))
    if len(ordered) == high - low + 1:
        return "*"
    if len(ordered) > 2 and ordered[0] == low:
        step = ordered[1] - ordered[0]
        if ordered == list(range(low, high + 1, step)):
            return f"*/{step}"
    return ",".join(_range(run) for run in _runs(ordered))
