# SPDX-License-Identifier: Apache-2.0
"""Celery Beat without a process: what is changed in beat's own dictionary and what never is, and when its rules are due."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc, PersistentScheduler, ScheduleEntry, Service
from celery.schedules import crontab, schedule

from z4j_agent.contract.adapter import Refused
from z4j_agent.contract.scheduler import Override, ScheduleSpec
from z4j_celery.schedulers.beat import CeleryBeat
from z4j_celery.schedulers.beat_code import CodeStore
from z4j_celery.schedulers.beat_conversion import due_of, send, us
from z4j_celery.schedulers.beat_last_runs import Memory

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400.0


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("beat-rules", broker="memory://", set_as_current=False)
    made.conf.update(timezone="Europe/Berlin", result_expires=None)
    made.conf.beat_schedule = {
        "hourly": {"task": "rules.hourly", "schedule": 3_600.0, "args": (1,), "options": {"queue": "mail", "expires": 60}},
        "nightly": {"task": "rules.nightly", "schedule": crontab(hour="2", minute="30")},
    }
    yield made
    made.close()


class Beat:
    """A beat that ticks when the test says so, with its file in `folder`."""

    def __init__(self, app: Celery, folder: Path) -> None:
        self.scheduler: Any = Service(app, schedule_filename=str(folder / "schedule")).scheduler
        self.fired: list[tuple[Any, ...]] = []
        self.store = CodeStore(app, self.scheduler, lambda *fire: self.fired.append(fire), Memory(folder / "runs.json"))
        self.scheduler._heap = []

    def put(self, *overrides: Override) -> dict[str, str]:
        failed = self.store.apply(list(overrides))
        self.store._before_tick()
        return failed

    def look(self) -> None:
        self.store._seen_at = 0
        self.store._before_tick()

    def entries(self) -> dict[str, Any]:
        return {entry.key: entry for entry in self.store.list_entries(OrderedDict())}

    @property
    def schedule(self) -> dict[str, ScheduleEntry]:
        schedule: dict[str, ScheduleEntry] = self.scheduler.schedule
        return schedule


def made(every_s: Any, key: str = "z4j:made", **changes: Any) -> Override:
    spec: dict[str, Any] = {
        "key": key, "name": "made", "kind": "interval", "expression": str(every_s), "timezone": "", "task_name": "rules.hourly",
        "args": [], "kwargs": {}, "queue": "", "priority": None, "is_enabled": True,
    }  # fmt: skip
    return Override(key, not key.startswith("hourly"), False, True, ScheduleSpec(**{**spec, **changes}))


def test_without_overrides_nothing_of_beat_is_touched(app: Celery, tmp_path: Path) -> None:
    beat = Beat(app, tmp_path)
    before, heap = dict(beat.schedule), beat.scheduler._heap
    beat.put()
    assert all(beat.schedule[key] is entry for key, entry in before.items())
    assert beat.schedule["hourly"].args == (1,)
    assert beat.scheduler._heap is heap


def test_what_the_application_does_to_beat_itself_is_left_and_told(app: Celery, tmp_path: Path) -> None:
    beat = Beat(app, tmp_path)
    beat.scheduler.add(name="by hand", task="rules.by_hand", schedule=timedelta(minutes=5))
    del beat.schedule["nightly"]
    beat.schedule["hourly"] = beat.scheduler.Entry(name="hourly", task="rules.hourly", schedule=timedelta(hours=2), app=app)
    beat.put(made(9.0))
    assert set(beat.schedule) == {"hourly", "by hand", "z4j:made"}
    assert beat.schedule["hourly"].schedule.run_every == timedelta(hours=2)
    beat.look()
    entries = beat.entries()
    assert set(entries) == {"hourly", "by hand", "z4j:made"}
    assert entries["hourly"].expression == "7200"
    beat.put()
    assert set(beat.schedule) == {"hourly", "by hand"}


def test_nothing_of_it_changes_when_celery_writes_its_file(app: Celery, tmp_path: Path) -> None:
    """`shelve` reads all entries anew after it has written them: they are other objects then, and the same entries."""
    beat = Beat(app, tmp_path)
    beat.put(made(9.0), Override("nightly", False, False, False, None))
    before = {key: entry.expression for key, entry in beat.entries().items()}
    beat.scheduler._do_sync()
    beat.look()
    assert {key: entry.expression for key, entry in beat.entries().items()} == before
    assert set(beat.schedule) == {"hourly", "z4j:made"}
    beat.put()
    assert set(beat.schedule) == {"hourly", "nightly"}


def test_a_long_interval_goes_on_after_a_restart(app: Celery, tmp_path: Path) -> None:
    """Beat drops from its file what the code does not say; the count must not begin anew with every restart."""
    overrides = (made(DAY), made(DAY / 2, "hourly"))
    beat = Beat(app, tmp_path)
    assert beat.put(*overrides) == {}
    ran = datetime.now(BERLIN) - timedelta(hours=5)
    for key in ("z4j:made", "hourly"):
        beat.schedule[key].last_run_at, beat.schedule[key].total_run_count = ran, 3
    beat.store._memory._written_at = -10.0
    beat.look()
    beat.scheduler.close()
    again = Beat(app, tmp_path)
    again.put(*overrides)
    entries = again.entries()
    for key, every_s in (("z4j:made", DAY), ("hourly", DAY / 2)):
        assert again.schedule[key].last_run_at == ran
        assert entries[key].next_at == (us(ran) or 0) + every_s * 1_000_000
        assert entries[key].last_at == us(ran)
    other = Beat(app, tmp_path)
    other.put(made(DAY * 2))
    assert (us(other.schedule["z4j:made"].last_run_at) or 0) > (us(ran) or 0), "another rule counts from now"


def test_off_and_on_makes_up_for_nothing_and_claims_no_run(app: Celery, tmp_path: Path) -> None:
    beat = Beat(app, tmp_path)
    ran = datetime.now(BERLIN) - timedelta(hours=3)
    beat.schedule["hourly"].last_run_at, beat.schedule["hourly"].total_run_count = ran, 7
    beat.put(Override("hourly", False, False, False, None))
    assert "hourly" not in beat.schedule
    assert beat.entries()["hourly"].is_enabled is False
    beat.put()
    entry = beat.schedule["hourly"]
    assert entry.is_due().is_due is False
    assert entry.total_run_count == 7
    assert beat.entries()["hourly"].last_at is None, "when it was switched on is no run"


def test_what_is_changed_of_the_code_and_back(app: Celery, tmp_path: Path) -> None:
    beat = Beat(app, tmp_path)
    beat.put(made(60.0, "hourly", args=None, kwargs={"a": 1}, queue="", priority=3))
    entry = beat.schedule["hourly"]
    assert (entry.args, entry.kwargs, entry.options) == ([1], {"a": 1}, {"expires": 60, "priority": 3})
    assert entry.schedule.run_every == timedelta(minutes=1)
    assert beat.scheduler._heap is None
    beat.put()
    entry = beat.schedule["hourly"]
    assert (entry.args, entry.kwargs, entry.options) == ((1,), {}, {"queue": "mail", "expires": 60})
    assert entry.schedule.run_every == timedelta(hours=1)


def test_an_override_of_what_the_code_lost(app: Celery, tmp_path: Path) -> None:
    beat = Beat(app, tmp_path)
    gone = Override("gone", False, True, True, None)
    assert beat.put(gone) == {}, "it is deleted, as was wanted"
    assert "no longer contains this entry" in beat.put(Override("gone", False, False, False, None))["gone"]


def test_a_one_off_is_sent_once_over_restarts(app: Celery, tmp_path: Path) -> None:
    """The same overrides come again at each start."""

    def once(at: datetime) -> Override:
        return made(0, "z4j:once", kind="once", expression=at.isoformat(), queue="later")

    at = datetime.now(UTC)
    beat = Beat(app, tmp_path)
    beat.put(once(at))
    assert [fire[:2] for fire in beat.fired] == [("z4j:once", us(at))]
    beat.put(once(at))
    again = Beat(app, tmp_path)
    again.put(once(at))
    assert (len(beat.fired), again.fired) == (1, [])
    assert again.entries()["z4j:once"].note == "Its time has passed."
    later = datetime.now(UTC) + timedelta(seconds=0.2)
    again.put(once(later))
    assert again.entries()["z4j:once"].next_at == us(later)
    assert 0 < again.store.around_tick(lambda: 5.0) <= 0.2, "beat sleeps no longer than until then"
    time.sleep(0.25)
    again.store.around_tick(lambda: 5.0)
    assert [fire[:2] for fire in again.fired] == [("z4j:once", us(later))]
    again.put(once(datetime.now(UTC) - timedelta(hours=1)))
    assert len(again.fired) == 1, "what is long past when it comes is not sent"


def test_one_override_that_cannot_hold_does_not_stop_the_others(app: Celery, tmp_path: Path) -> None:
    beat = Beat(app, tmp_path)
    bad = made("0 0 31 2 mon", "z4j:bad", kind="cron")
    odd = made(9.0, "z4j:odd", expression=None)  # no text: what nobody foresaw
    failed = beat.put(bad, odd, made(9.0))
    assert set(failed) == {"z4j:bad", "z4j:odd"}
    assert "z4j:made" in beat.schedule


def test_memory_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(b'{"runs": {"a": [1]}, "sent"')
    assert Memory(path).runs == {}
    Memory(tmp_path / "missing" / "runs.json").mark_sent("a", 1)
    memory, later = Memory(path), 2**62
    assert memory.was_sent("a", 5), "not known: rather once too few than twice"
    assert not memory.was_sent("a", later)
    assert not Memory(tmp_path / "missing.json").was_sent("a", 5)
    memory.mark_sent("a", 5)
    assert Memory(path).sent == {"a": 5}
    assert path.stat().st_mode & 0o777 == 0o600


# -- sending ---------------------------------------------------------------------------------------------------------------
def test_run_now_has_the_options_of_the_entry(app: Celery) -> None:
    options = {"queue": "mail", "headers": {"from": "beat"}, "expires": 60, "countdown": 600, "priority": 4}
    task_id = send(app, "rules.hourly", [BeatLazyFunc(lambda: 5)], {"b": 2}, options, task_id="chosen")
    assert task_id == "chosen"
    with app.connection_for_read() as connection, connection.SimpleQueue("mail") as queue:
        message = queue.get(timeout=5)
        message.ack()
    assert message.payload[:2] == [[5], {"b": 2}]
    assert (message.headers["id"], message.headers["from"], message.headers["eta"]) == ("chosen", "beat", None)
    assert message.headers["expires"]
    assert message.properties["priority"] == 4
    assert options["headers"] == {"from": "beat"}


def test_run_now_where_tasks_are_not_sent(app: Celery) -> None:
    app.conf.task_always_eager = True
    with pytest.raises(Refused, match="task_always_eager"):
        send(app, "rules.hourly", [], {}, {})


# -- when a rule is due ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("is_relative", [False, True])
@pytest.mark.parametrize("day", [datetime(2026, 3, 28, 12, 7, tzinfo=BERLIN), datetime(2026, 10, 24, 12, 7, tzinfo=BERLIN)])
def test_an_interval_over_a_change_of_the_clocks(app: Celery, day: datetime, is_relative: bool) -> None:
    for seconds in (DAY, DAY / 2, 3 * DAY, 54_000.0):
        rule = schedule(seconds, relative=is_relative, nowfun=lambda: day + timedelta(hours=3), app=app)
        due = due_of(rule, day)
        assert due is not None
        assert due.astimezone(UTC) == (day + timedelta(hours=3)).astimezone(UTC) + rule.remaining_estimate(day)


def test_rules_are_due_when_celery_itself_says_so(app: Celery) -> None:
    """From random moments of two years, through every change of the clocks, against `remaining_estimate`."""
    draw = random.Random(5)
    for _ in range(400):
        last = datetime.fromtimestamp(draw.randint(1_767_225_600, 1_830_297_600), BERLIN)
        now = last + timedelta(minutes=draw.randint(0, 3_000))
        rule: Any = draw.choice(
            [
                crontab(hour=str(draw.randint(0, 4)), minute=f"*/{draw.randint(1, 40)}", app=app),
                crontab(minute=str(draw.randint(0, 59)), day_of_week="sun,mon", app=app),
                crontab(hour="2", minute="30", day_of_month=f"{draw.randint(1, 15)}-31", app=app),
                schedule(float(draw.randint(1, 200_000)), app=app),
                schedule(float(draw.randint(60, 200_000)), relative=True, app=app),
            ]
        )
        rule.nowfun = lambda now=now: now.astimezone(BERLIN)
        due = due_of(rule, last)
        assert due is not None
        want = now.astimezone(UTC) + rule.remaining_estimate(last)
        assert us(due) == us(want), (rule, last, now)


def test_what_a_deadline_lets_pass_is_not_what_was_due(app: Celery) -> None:
    """With `beat_cron_starting_deadline` beat does not make up for what is older, but (5.7) for what is not."""
    app.conf.beat_cron_starting_deadline = 120
    now = datetime.now(BERLIN)
    rule = crontab(app=app)  # every minute
    entry = ScheduleEntry("minutely", "rules.minutely", now - timedelta(days=2), 1, rule, app=app)
    due = CeleryBeat(lambda: [app])._due(entry)
    assert due is not None
    assert 0 <= (us(now) or 0) - due <= 121_000_000


def test_schedulers_of_the_application_that_tick_as_celerys_own_do(app: Celery, tmp_path: Path) -> None:
    class Louder(PersistentScheduler):
        pass

    class FromElsewhere(PersistentScheduler):
        @property
        def schedule(self) -> dict[str, Any]:
            return {}

    watch = CeleryBeat(lambda: [app])
    watch._service = Service(app, scheduler_cls=Louder, schedule_filename=str(tmp_path / "louder"))
    store = watch._store_of(watch._service.scheduler)
    assert store is not None
    assert store.name == "code"
    other = FromElsewhere(app, schedule_filename=str(tmp_path / "elsewhere"), lazy=True)
    assert watch._store_of(other) is None, "its entries are where nobody knows; its fires are told"


def test_without_a_beat_it_is_not_here(app: Celery) -> None:
    watch = CeleryBeat(lambda: [app])
    assert (watch.is_here(), watch.is_firing()) == (False, False)
    with pytest.raises(Refused, match="does not run beat"):
        watch.list_schedules()


def test_uninstalling_gives_beat_back_as_it_was(app: Celery, tmp_path: Path) -> None:
    """Wrapped as `beat_init` does it, without an agent to connect."""
    watch = CeleryBeat(lambda: [app])
    watch.install()
    scheduler = Service(app, schedule_filename=str(tmp_path / "s")).scheduler
    before = {**vars(scheduler)}
    watch._patches.set(scheduler, "max_interval", 5.0)
    watch._patches.around(scheduler, "apply_async", watch._around_apply)
    assert vars(scheduler)["apply_async"].__name__ == "apply_async"
    watch.uninstall()
    assert vars(scheduler) == before
