# SPDX-License-Identifier: Apache-2.0
"""The contract between a scheduler and the agent: entries of a scheduler, and how operators change them.

A scheduler belongs to an engine's adapter (`Adapter.schedulers`), or is independent (APScheduler). If its entries are in a store that any
process reaches, an operator's change is written there. If they are in code, the change is an *override*: the server stores it and sends all
overrides whenever the agent connects. The agent stores a copy in its spool folder, so that they apply before the first fire of the next
start. All methods but the scheduler's own hooks run in the agent's thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal

from z4j_agent.contract.capabilities import Capability, Finding, Refused, Unsupported
from z4j_agent.wire import digest_of
from z4j_agent.wire.cron import BadCron, Cron, parse
from z4j_agent.wire.redaction import MAX_ITEMS, redact, redact_arguments

Kind = Literal["cron", "interval", "once", "other"]
KINDS: Final[tuple[Kind, ...]] = ("cron", "interval", "once", "other")
Outcome = Literal["sent", "failed", "missed", "skipped"]
"""The outcome of a fire: the task was sent (APScheduler: its function was run), sending it failed, the scheduler skipped it because it was
too late, or because an earlier run was still active."""
ACTIONS: Final = ("save_schedule", "delete_schedule", "enable_schedule", "disable_schedule", "fire_schedule", "apply_overrides")
LEVEL: Final = dict.fromkeys(ACTIONS, "operate")
MAX_SHOWN: Final = 4_000
MAX_INTERVAL_S: Final = 1e9
EDITS: Final = ("save", "delete", "enable", "disable", "fire")
"""Edits of an entry. Each that is not in `ScheduleInfo.unable` is possible."""


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """One entry in its current state. Times are in microseconds UTC, None if the scheduler does not report them.

    `expression` is a cron expression (`z4j_agent.wire.cron`), the seconds of an interval as a number ("90", "0.5"), the time of a one-off
    as ISO 8601 with offset, or, of kind `other`, the scheduler's own words.
    """

    key: str
    """Its identity in the scheduler; the same after a restart."""
    name: str
    kind: Kind
    expression: str
    timezone: str
    """IANA name of the expression's time zone, "" without one (intervals)."""
    task_name: str
    args: str = "[]"
    """JSON for display: redacted (`show_arguments`), so that secret ones contain the mask."""
    kwargs: str = "{}"
    queue: str = ""
    priority: int | None = None
    is_enabled: bool = True
    next_at: int | None = None
    last_at: int | None = None
    is_code: bool = False
    """Whether it is defined in the application's code; a change to it is an override."""
    unable: dict[str, str] = field(default_factory=dict)
    """Edit that is not possible for this entry → the reason, half a sentence."""
    note: str = ""
    """One sentence for the page."""


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """An entry as an operator requests it. `args` and `kwargs` are None if they stay unchanged; a value with the mask is taken from the
    entry's own at the same position (`overrides.merge_arguments`)."""

    key: str
    """"" for a new one."""
    name: str
    kind: Kind
    expression: str
    timezone: str
    task_name: str
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    queue: str
    priority: int | None
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Override:
    """A change to an entry in code, or an additional entry (`is_new`). `spec` is None if only `is_enabled` differs."""

    key: str
    is_new: bool
    is_deleted: bool
    is_enabled: bool
    spec: ScheduleSpec | None


class Scheduler:
    """One scheduler in this process. Subclass it in the engine's package."""

    scheduler: ClassVar[str]
    """Its name: `celery_beat`, `rq_scheduler`, `rq_cron`, `huey_periodic`, `arq_cron`, `taskiq_scheduler`, `apscheduler`."""
    engine: ClassVar[str]
    """The engine of its tasks; APScheduler, which runs functions, names itself."""
    list_every_s: ClassVar[float] = 5.0

    @property
    def store(self) -> str:
        """Where the entries are: `code`, or a name such as `django`, `redis`, `memory`."""
        raise NotImplementedError

    @property
    def can_create(self) -> bool:
        """Whether a new entry is possible, natively or as an override."""
        return True

    def is_here(self) -> bool:
        """Whether this process can list and change the entries now; until then nothing is reported."""
        return self.is_firing()

    def is_firing(self) -> bool:
        """Whether this process fires the entries. Processes that do not can also list a store."""
        raise NotImplementedError

    def tick_s(self) -> float:
        """Seconds that the scheduler may sleep between two checks; a fire that late is still on time."""
        return 1.0

    def zone(self) -> str:
        """IANA name of the time zone of entries without their own."""
        return "UTC"

    def list_schedules(self) -> list[ScheduleInfo]:
        """Returns all entries in their current state. Called in the agent's thread every `list_every_s` seconds, and after each command. An
        exception is counted as a fault, and no list is sent."""
        raise NotImplementedError

    def findings(self) -> list[Finding]:
        """Returns problems of this process's configuration of the scheduler. Their sentences are sent with the list of entries, 20 at
        most."""
        return []

    def knows_task(self, name: str) -> bool:
        """Whether the application offers this task beyond those of the engine's adapter. Only a scheduler without an adapter has any."""
        return False

    def install(self) -> None:
        """Connects the hooks. Called once per process tree, before any fork; must not connect to anything."""

    def uninstall(self) -> None:
        """Disconnects the hooks."""

    # -- commands: return a JSON-able result; raise Unsupported or Refused -----------------------------------------------
    def save_schedule(self, spec: ScheduleSpec) -> dict[str, Any]:
        """Creates or changes an entry in the store. Returns {"key": …}. Entries in code are changed by overrides."""
        raise Unsupported

    def delete_schedule(self, key: str) -> dict[str, Any]:
        """Removes an entry from the store. Returns {} or {"key": …}. Raises Refused if there is no such entry."""
        raise Unsupported

    def enable_schedule(self, key: str) -> dict[str, Any]:
        """Makes a disabled entry fire again from its next due time; missed runs are not caught up. Returns and raises like
        `delete_schedule`."""
        raise Unsupported

    def disable_schedule(self, key: str) -> dict[str, Any]:
        """Keeps an entry from firing until `enable_schedule`. The entry stays in the list. Returns and raises like `delete_schedule`."""
        raise Unsupported

    def fire_schedule(self, key: str) -> dict[str, Any]:
        """Runs the entry's task now, without changing its next due time. Returns {"task_id": …}. This is not a fire of the schedule."""
        raise Unsupported

    def apply_overrides(self, overrides: list[Override]) -> dict[str, str]:
        """Resets the entries to those of the code and applies exactly these overrides; overrides of an earlier call that are missing now
        are reverted. Returns {key: reason} of those that could not be applied. May be called repeatedly with the same list."""
        raise Unsupported


def capabilities(scheduler: Scheduler) -> list[Capability]:
    """Returns the capabilities of a scheduler for the hello: the methods that its class overrides."""
    own = [action for action in ACTIONS if getattr(type(scheduler), action) is not getattr(Scheduler, action)]
    return [Capability(action, "scheduler" if "apply_overrides" in own else "any", "exact") for action in own]


def spec_of(fields: dict[str, Any]) -> ScheduleSpec:
    """Reads a spec from a command's parameters, an object with the names of ScheduleSpec. A missing text is "", a missing `is_enabled`
    True. Raises Refused for other types, and for a kind that is not cron, interval or once."""

    def text(name: str) -> str:
        value = fields.get(name, "")
        if not isinstance(value, str) or len(value) > 4_000:
            raise Refused(f"{name} must be a string")
        return value

    args, kwargs, priority = fields.get("args"), fields.get("kwargs"), fields.get("priority")
    if not (args is None or isinstance(args, list)) or not (kwargs is None or isinstance(kwargs, dict)):
        raise Refused("args must be a list and kwargs an object")
    if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
        raise Refused("priority must be a number")
    kind = text("kind")
    if kind not in KINDS or kind == "other":
        raise Refused("kind must be cron, interval or once")
    return ScheduleSpec(
        text("key"), text("name"), kind, text("expression"), text("timezone"), text("task_name"), args, kwargs, text("queue"), priority,
        fields.get("is_enabled", True) is not False,
    )  # fmt: skip


def read_cron(text: str, whose: str = "") -> Cron:
    """Parses the expression of a spec of kind `cron`. `whose` is the name of a scheduler without seconds; it begins the message. Raises
    Refused."""
    try:
        cron = parse(text)
    except BadCron as error:
        raise Refused(str(error)) from None
    if whose and cron.seconds is not None:
        raise Refused(f"{whose} does not support seconds; the nearest is {' '.join(cron.fields)}")
    return cron


def read_interval(text: str) -> float:
    """Parses the expression of a spec of kind `interval`: seconds. Raises Refused."""
    try:
        seconds = float(text)
    except ValueError:
        raise Refused(f"“{text[:40]}” is not a number of seconds") from None
    if not 0 < seconds < MAX_INTERVAL_S:
        raise Refused("an interval must be longer than zero; the shortest is 1")
    return seconds


def read_whole_interval(text: str, whose: str) -> int:
    """Parses an interval for schedulers that count whole seconds; `whose` begins the message. Raises Refused with the nearest one."""
    seconds = read_interval(text)
    if seconds != int(seconds):
        raise Refused(f"{whose} intervals are whole seconds; the nearest is {max(1, round(seconds))}")
    return int(seconds)


def read_time(text: str) -> datetime:
    """Parses the expression of a spec of kind `once`, ISO 8601 with an offset. Returns an aware datetime in UTC. Raises Refused."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise Refused("a one-off requires a UTC offset, for example 2026-11-23T05:30:00+00:00")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: in UTC it is before the year 1 or after 9999
        raise Refused(f"“{text[:40]}” is not a time in ISO 8601") from None


def overrides_of(items: Any) -> list[Override]:
    """Reads overrides from a command's parameters or from the copy on disk: a list of objects with `key`, `is_new`, `is_deleted`,
    `is_enabled` and `spec` (see `spec_of`). Raises Refused."""
    if not isinstance(items, list):
        raise Refused("overrides must be a list")
    overrides = []
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("key"), str):
            raise Refused("an override requires a key")
        spec = item.get("spec")
        is_enabled = item.get("is_enabled", True) is not False
        changed = spec_of({**spec, "key": item["key"]}) if isinstance(spec, dict) else None
        overrides.append(Override(item["key"], bool(item.get("is_new")), bool(item.get("is_deleted")), is_enabled, changed))
    return overrides


def show_arguments(args: Any, kwargs: Any, secret: Iterable[str] = (), names: Sequence[str] = ()) -> tuple[str, str]:
    """Arguments as the redacted JSON of `ScheduleInfo.args` and `.kwargs`. `names` are the task's positional parameters, so that a secret
    passed by position is masked by its name. Arguments that are too long are the JSON text "…", and an edit leaves them unchanged."""
    positional = list(args or ())
    shown = redact_arguments(positional, names, secret)[0] if len(positional) <= MAX_ITEMS else redact(positional, secret)[0]
    return _json(shown), _json(redact(dict(kwargs or {}), secret)[0])


def _json(shown: Any) -> str:
    text = json.dumps(shown, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else '"…"'


__all__ = [
    "ACTIONS", "EDITS", "KINDS", "LEVEL", "MAX_INTERVAL_S", "MAX_SHOWN", "Kind", "Outcome", "Override", "ScheduleInfo", "ScheduleSpec",
    "Scheduler", "capabilities", "digest_of", "overrides_of", "read_cron", "read_interval", "read_time",
    "read_whole_interval", "show_arguments", "spec_of",
]  # fmt: skip
