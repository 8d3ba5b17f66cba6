# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people do with alerts: roles, audit rows, links in messages, and secrets that no page shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.unit.operations.alerts.examples import ANN, EMAILS, OLGA, VERA, Person, Stage, stage
from tests.unit.rules.alerts.examples import HOUR, T, at_once
from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.operations.alerts.actions import LONGEST_MAINTENANCE_US
from z4j.rules.alerts.quiet_hours import Maintenance
from z4j.rules.findings.finding import Scope
from z4j.store.alerts import alert_rules, channels

pytestmark = pytest.mark.anyio
Action = Callable[[Stage, Person], Awaitable[object]]


def window(since: int = 0, lasts: int = HOUR) -> Maintenance:
    begin = clock.now() + since
    return Maintenance(Scope("shop"), begin, begin + lasts)


ACTIONS: dict[str, tuple[str, Action]] = {
    "put_rule": ("admin", lambda on, who: on.actions.put_rule(who, None, at_once(channels=()))),
    "delete_rule": ("admin", lambda on, who: on.actions.delete_rule(who, 1)),
    "put_channel": ("admin", lambda on, who: on.actions.put_channel(who, None, name="new", kind="webhook", url="https://x.example/y")),
    "set_channel_enabled": ("admin", lambda on, who: on.actions.set_channel_enabled(who, 1, is_enabled=False)),
    "delete_channel": ("admin", lambda on, who: on.actions.delete_channel(who, 2)),
    "test_channel": ("admin", lambda on, who: on.actions.test_channel(who, 1)),
    "add_maintenance": ("operator", lambda on, who: on.actions.add_maintenance(who, window(), "upgrade")),
    "end_maintenance": ("operator", lambda on, who: on.actions.end_maintenance(who, 1)),
    "acknowledge": ("operator", lambda on, who: on.actions.acknowledge(who, 1)),
}


async def rows(on: Stage) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in await on.store.fetch_all("SELECT action, outcome FROM audit ORDER BY seq")]


@pytest.mark.parametrize("name", ACTIONS)
async def test_each_action_needs_its_role_and_leaves_a_row(tmp_path: Path, name: str) -> None:
    needed, action = ACTIONS[name]
    async with stage(tmp_path) as on:
        hook = await on.channel()
        await on.channel(name="unused")
        await on.rule(hook)
        await on.look([EMAILS])
        await on.store.write(lambda db: alert_rules.add_maintenance(db, window(), "", "olga", T))
        before = len(await rows(on))
        for who in (VERA, OLGA, ANN):
            is_allowed = who.role in ("admin", needed)
            if not is_allowed:
                with pytest.raises(NotAllowed):
                    await action(on, who)
            elif who.role == needed:
                await action(on, who)
        outcomes = [outcome for _, outcome in (await rows(on))[before:]]
        assert outcomes == ["refused", "refused", "done"] if needed == "admin" else outcomes == ["refused", "done"]


async def test_secrets_are_neither_in_lists_nor_in_the_file(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        id = await on.channel("https://hooks.example/hunter22-canary?x=1", key="key-canary")
        [channel] = await channels.list_channels(on.store)
        assert "canary" not in repr(channel)
        address = await channels.read_address(on.store, id)
        assert address is not None
        assert (address.url, address.key) == ("https://hooks.example/hunter22-canary?x=1", "key-canary")
    assert all(b"canary" not in path.read_bytes() for path in tmp_path.iterdir())


async def test_a_channel_keeps_its_address_and_key_where_none_is_given(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        id = await on.channel("https://hooks.example/a")
        await on.actions.put_channel(ANN, id, name="renamed", kind="webhook", url="", is_weekly=True)
        address = await channels.read_address(on.store, id)
        assert address is not None
        assert (address.name, address.url, address.key) == ("renamed", "https://hooks.example/a", "secret")
        made = await on.actions.put_channel(ANN, None, name="without a key", kind="webhook", url="https://hooks.example/b")
        address = await channels.read_address(on.store, made)
        assert address is not None
        assert len(address.key) > 30
        with pytest.raises(BadInput, match="already exists"):
            await on.actions.put_channel(ANN, id, name="without a key", kind="webhook", url="")


@pytest.mark.parametrize(
    ("name", "kind", "url"),
    [("", "webhook", "https://x"), ("a", "pigeon", "https://x"), ("a", "webhook", "x" * 2_001), ("a", "webhook", "")],
)
async def test_a_channel_that_cannot_work_is_refused(tmp_path: Path, name: str, kind: str, url: str) -> None:
    async with stage(tmp_path) as on:
        with pytest.raises(BadInput):
            await on.actions.put_channel(ANN, None, name=name, kind=kind, url=url)  # type: ignore[arg-type]
        assert await channels.list_channels(on.store) == []


async def test_a_channel_in_use_is_not_deleted(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        hook, phone = await on.channel(), await on.channel(name="phone")
        await on.rule(hook, escalate_s=60, escalate_to=(phone,))
        for id in (hook, phone):
            with pytest.raises(WrongState, match="everything"):
                await on.actions.delete_channel(ANN, id)


async def test_unknown_things_are_not_found(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        for action in (
            on.actions.put_rule(ANN, 9, at_once(channels=())), on.actions.delete_rule(ANN, 9), on.actions.delete_channel(ANN, 9),
            on.actions.set_channel_enabled(ANN, 9, is_enabled=True), on.actions.test_channel(ANN, 9), on.actions.acknowledge(OLGA, 9),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                await action
        with pytest.raises(BadInput, match="Unknown channel 9"):
            await on.actions.put_rule(ANN, None, at_once(channels=(9,)))


@pytest.mark.parametrize(("since", "lasts"), [(0, 0), (0, -HOUR), (-2 * HOUR, HOUR), (0, LONGEST_MAINTENANCE_US + 1)])
async def test_maintenance_that_makes_no_sense_is_refused(tmp_path: Path, since: int, lasts: int) -> None:
    async with stage(tmp_path) as on:
        with pytest.raises(BadInput):
            await on.actions.add_maintenance(OLGA, window(since, lasts), "")


async def test_maintenance_ends_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        id = await on.actions.add_maintenance(OLGA, window(HOUR), "later")
        await on.actions.end_maintenance(OLGA, id)
        with pytest.raises(WrongState):
            await on.actions.end_maintenance(OLGA, id)
        assert await alert_rules.list_maintenance(on.store, clock.now() + HOUR) == [], "it never begins"


async def test_a_link_in_a_message_acknowledges_its_alert_and_nothing_else(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        await on.look([EMAILS])
        [alert] = await on.open()
        code = on.actions.link_to_acknowledge(alert).removeprefix("/acknowledge/")
        assert await on.actions.alert_of_link(code) == alert
        for wrong in ("", "7", code[:-1], code + "x", code.replace(code[:3], "OA.")):
            with pytest.raises(NotAllowed):
                await on.actions.alert_of_link(wrong)
        assert (tmp_path / "alerts.key").stat().st_mode & 0o777 == 0o600


async def test_a_link_is_not_valid_for_a_later_alert_of_the_same_number(tmp_path: Path) -> None:
    """As after a restore of a backup: the numbers of the alerts since then are used again."""
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        await on.look([EMAILS])
        [alert] = await on.open()
        code = on.actions.link_to_acknowledge(alert).removeprefix("/acknowledge/")
        await on.store.write(lambda db: db.execute("UPDATE alert SET opened_at = opened_at + 1").rowcount)
        with pytest.raises(NotAllowed, match="no longer exists"):
            await on.actions.alert_of_link(code)


async def test_an_alert_is_acknowledged_once_and_while_it_lasts(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        await on.look([EMAILS])
        [alert] = await on.open()
        await on.actions.acknowledge(OLGA, alert.id)
        with pytest.raises(WrongState, match="acknowledged by olga"):
            await on.actions.acknowledge(ANN, alert.id)
        await on.look([], T + HOUR)
        with pytest.raises(WrongState, match="resolved"):
            await on.actions.acknowledge(ANN, alert.id)
