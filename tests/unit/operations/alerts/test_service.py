# SPDX-License-Identifier: AGPL-3.0-or-later
"""What fires is stored together with its messages, over restarts of the server, quiet hours and changes of rules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.operations.alerts.examples import ANN, EMAILS, OLGA, at, stage
from tests.unit.rules.alerts.examples import HOUR, MINUTE, T, at_once, finding
from z4j.operations.alerts.service import KEPT_US, Alerts
from z4j.rules.alerts.quiet_hours import Maintenance, Weekly
from z4j.rules.findings.finding import Scope
from z4j.store.alerts import alert_rules

pytestmark = pytest.mark.anyio


async def test_one_incident_is_one_message_and_one_end(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        hook = await on.channel()
        await on.rule(hook)
        await on.look()
        assert await on.all() == []
        burst = [at(finding(subject=f"{n}")) for n in range(200)]
        await on.look(burst)
        await on.look(burst, T + MINUTE)
        [alert] = await on.open()
        assert (alert.alert.fired_at, len(alert.alert.items), alert.rule) == (T, 200, "everything")
        await on.look([], T + HOUR)
        assert await on.open() == []
        assert [(each.kind, each.channel, each.due_at) for each in await on.messages()] == [
            ("fired", "hook", T),
            ("resolved", "hook", T + HOUR),
        ]


async def test_each_app_and_environment_has_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        await on.look([EMAILS, at(finding(scope=Scope("blog", "production", "rq"))), at(finding(scope=Scope("shop", "staging", "rq")))])
        assert {each.alert.scope for each in await on.open()} == {
            Scope("shop", "production"), Scope("blog", "production"), Scope("shop", "staging"),
        }  # fmt: skip


async def test_a_server_that_starts_again_goes_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel(), reminder_s=600, cooldown_s=300)
        await on.look([EMAILS])
        on.alerts = Alerts(on.store, on.live)
        await on.look([EMAILS], T + 5 * MINUTE)
        await on.look([EMAILS], T + 11 * MINUTE)
        on.alerts = Alerts(on.store, on.live)
        await on.look([], T + 12 * MINUTE)
        assert [(each.kind, each.created_at - T) for each in await on.messages()] == [
            ("fired", 0), ("reminder", 10 * MINUTE), ("resolved", 12 * MINUTE),
        ]  # fmt: skip
        await on.look([at(finding(), T + 13 * MINUTE)], T + 13 * MINUTE)
        [_, _, _, again] = await on.messages()
        assert (again.kind, again.created_at) == ("fired", T + 13 * MINUTE), "thirteen minutes after the first one"


async def test_a_cooldown_holds_back_what_comes_again_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel(), cooldown_s=600)
        for minute in range(0, 12, 2):  # it comes and goes
            await on.look([at(finding(), T + minute * MINUTE)], T + minute * MINUTE)
            await on.look([], T + (minute + 1) * MINUTE)
        assert [(each.kind, (each.created_at - T) // MINUTE) for each in await on.messages()] == [
            ("fired", 0), ("resolved", 1), ("fired", 10), ("resolved", 11),
        ]  # fmt: skip
        assert [each.alert.fired_at is None for each in await on.all()] == [False, True, True, True, True, False]


async def test_messages_wait_for_the_end_of_quiet_hours_and_become_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        begin = int(datetime.fromtimestamp(T // 1_000_000, UTC).hour) * 60
        quiet = Weekly(tuple(range(7)), begin, (begin + 240) % 1_440)
        first, second = await on.channel(), await on.channel(name="phone")
        await on.rule(first, quiet=(quiet,), escalate_s=3_600, escalate_to=(second,))
        await on.look([EMAILS])
        [fired] = await on.messages()
        assert 3 * HOUR < fired.due_at - T <= 4 * HOUR
        await on.look([EMAILS], T + HOUR)
        [_, escalated] = await on.messages()
        assert (escalated.kind, escalated.channel, escalated.due_at) == ("escalated", "phone", T + HOUR)
        await on.look([], T + 2 * HOUR)
        assert [(each.kind, each.channel, each.outcome) for each in await on.messages() if each.created_at > T + HOUR or each.outcome] == [
            ("fired", "hook", "withdrawn"), ("resolved", "hook", ""), ("resolved", "phone", ""),
        ]  # fmt: skip


async def test_what_is_critical_does_not_wait(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel(), severity="critical", quiet=(Weekly(tuple(range(7)), 0, 0),))
        await on.look([EMAILS])
        assert [each.due_at for each in await on.messages()] == [T]


async def test_only_one_reminder_waits(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel(), reminder_s=60)
        for minute in range(5):
            await on.look([EMAILS], T + minute * MINUTE)
        assert [(each.kind, each.outcome) for each in await on.messages()] == [
            ("fired", ""), ("reminder", "withdrawn"), ("reminder", "withdrawn"), ("reminder", "withdrawn"), ("reminder", ""),
        ]  # fmt: skip


async def test_maintenance_holds_it_back_and_then_it_fires(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        window = Maintenance(Scope("shop"), T, T + HOUR)
        await on.store.write(lambda db: alert_rules.add_maintenance(db, window, "upgrade", "olga", T))
        await on.look([EMAILS])
        await on.look([EMAILS], T + 59 * MINUTE)
        assert await on.messages() == []
        await on.look([EMAILS], T + 61 * MINUTE)
        assert [(each.kind, each.created_at) for each in await on.messages()] == [("fired", T + HOUR)]


async def test_an_acknowledged_alert_is_not_repeated_but_its_end_is_told(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel(), reminder_s=60)
        await on.look([EMAILS])
        [alert] = await on.open()
        await on.actions.acknowledge(OLGA, alert.id)
        await on.look([EMAILS], T + HOUR)
        await on.look([], T + 2 * HOUR)
        assert [each.kind for each in await on.messages()] == ["fired", "resolved"]
        assert [each.alert.acknowledged_by for each in await on.all()] == ["olga"]


async def test_a_rule_that_is_turned_off_or_deleted_ends_its_alerts_silently(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        hook = await on.channel()
        first, second = await on.rule(hook), await on.rule(hook, name="again")
        await on.look([EMAILS])
        assert len(await on.open()) == 2
        await on.actions.put_rule(ANN, first, at_once(is_enabled=False, channels=(hook,)))
        await on.actions.delete_rule(ANN, second)
        assert await on.open() == []
        await on.look([EMAILS], T + MINUTE)
        assert [each.kind for each in await on.messages()] == ["fired", "fired"]


async def test_a_channel_that_is_turned_off_gets_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        hook = await on.channel()
        await on.rule(hook)
        await on.actions.set_channel_enabled(ANN, hook, is_enabled=False)
        await on.look([EMAILS])
        assert (len(await on.open()), await on.messages()) == (1, [])


async def test_what_is_over_for_long_is_deleted(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        await on.look([EMAILS])
        await on.look([], T + MINUTE)
        await on.store.write(lambda db: db.execute("UPDATE alert_message SET next_at = NULL").rowcount)
        await on.alerts.delete_old(T + KEPT_US)
        assert (len(await on.all()), len(await on.messages())) == (1, 2)
        await on.alerts.delete_old(T + KEPT_US + HOUR)
        assert (await on.all(), await on.messages()) == ([], [])
