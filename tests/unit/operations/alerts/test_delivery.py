# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages arrive at a real endpoint: once, or again with the same id; a channel that fails does not delay another one."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.support.endpoints import endpoint
from tests.unit.operations.alerts.examples import ANN, EMAILS, OTHER, Stage, stage
from z4j import clock
from z4j.operations.alerts.delivery import PAUSE_US, Delivery
from z4j.operations.alerts.webhooks_and_apprise import MESSAGE_ID
from z4j.rules.alerts.delivery_retries import KEPT_US
from z4j.store.alerts import channels, messages
from z4j.store.sqlite.db import Connection

pytestmark = pytest.mark.anyio


async def fire(on: Stage) -> None:
    await on.look([EMAILS], clock.now())


async def test_a_message_arrives_once_and_is_in_the_log(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(f"{server.url}/hook"))
            await fire(on)
            for _ in range(3):
                await on.deliver()
            [message] = await on.messages()
            assert (message.outcome, message.attempts, message.next_at, message.error) == ("delivered", 1, None, "")
            [(path, headers, _)] = server.received
            assert (path, headers[MESSAGE_ID]) == ("/hook", message.id)
            [body] = server.bodies
            assert (body["id"], body["kind"], body["title"]) == (message.id, "fired", "Emails fail (shop · production)")
            assert body["acknowledge_url"].startswith("https://z4j.example/acknowledge/")
            [channel] = await channels.list_channels(on.store)
            assert channel.delivered_at is not None


async def test_a_server_that_was_killed_before_it_noted_the_delivery_sends_it_again_with_the_same_id(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(server.url))
            await fire(on)
            [before] = await on.messages()
            await on.deliver()
            # As the database is if the process ended between the answer of the endpoint and the commit.
            await on.store.write(
                lambda db: db.execute("UPDATE alert_message SET next_at = due_at, delivered_at = NULL, outcome = ''").rowcount
            )
            on.delivery = Delivery(on.store, on.live, lambda: "", lambda id: "")
            await on.deliver()
            assert [body["id"] for body in server.bodies] == [before.id, before.id]


async def test_what_fails_is_tried_again_until_it_arrives(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(server.url))
            await fire(on)
            server.statuses[:] = [500, 302, 404]
            for _ in range(4):
                now = clock.now()
                await on.deliver(now)
                [message] = await on.messages()
                await on.deliver(now)  # not yet
                on.delivery._not_before.clear()
                await on.store.write(lambda db: db.execute("UPDATE alert_message SET next_at = 1 WHERE next_at IS NOT NULL").rowcount)
            assert (message.outcome, message.attempts, len(server.received)) == ("delivered", 4, 4)
            assert all(path == "/" for path, _, _ in server.received), "a redirection is not followed"


async def test_the_log_says_why_and_when_it_is_tried_again(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            hook = await on.channel(server.url)
            await on.rule(hook)
            await fire(on)
            server.statuses[:] = [500]
            await on.deliver()
            [message] = await on.messages()
            [channel] = await channels.list_channels(on.store)
            assert message.error == channel.error == "The server answered with status 500."
            assert channel.failing_since is not None
            assert message.next_at is not None
            assert 4_000_000 < message.next_at - clock.now() <= 5_000_000
            await on.actions.test_channel(ANN, hook)
            await on.deliver(message.next_at)
            [channel] = await channels.list_channels(on.store)
            assert (channel.failing_since, channel.error, len(server.received)) == (None, "", 3)


async def test_a_channel_that_fails_does_not_delay_another_one(tmp_path: Path) -> None:
    with endpoint() as good, endpoint() as bad:
        async with stage(tmp_path) as on:
            broken, working = await on.channel(bad.url, "a broken one"), await on.channel(good.url, "working")
            await on.rule(broken, working)
            bad.statuses[:] = [500] * 9
            await fire(on)
            await on.deliver()
            await on.look([], clock.now())
            await on.deliver()
            assert [body["kind"] for body in good.bodies] == ["fired", "resolved"]
            assert len(bad.received) == 1, "what follows waits for its turn"


async def test_a_message_that_its_channel_refuses_delays_no_other_alert(tmp_path: Path) -> None:
    """What a task is called is chosen by an application: a title that a mail server refuses must not silence the other applications."""
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(server.url))
            now = clock.now()
            await on.look([EMAILS], now)
            server.statuses[:] = [500] * 12
            for _ in range(12):  # until its delay is the longest
                [message] = await on.messages()
                assert message.next_at is not None
                on.delivery._not_before.clear()
                await on.deliver(message.next_at)
            tried = len(server.received)
            await on.look([EMAILS, OTHER], now + 1)
            server.statuses[:] = [200, 500]
            await on.deliver(now + 4 * PAUSE_US)
            assert [body["app"] for body in server.bodies[tried:]] == ["other"], "the refused one is not due"
            [refused] = [message for message in await on.messages() if message.next_at is not None]
            await on.deliver(refused.next_at)
            assert [body["app"] for body in server.bodies[tried:]] == ["other", "shop"]


async def test_a_refused_message_pauses_its_channel_for_a_minute_at_most(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(server.url))
            await fire(on)
            await on.store.write(lambda db: db.execute("UPDATE alert_message SET attempts = 12").rowcount)
            server.statuses[:] = [500]
            await on.deliver()
            await on.look([EMAILS, OTHER], clock.now())
            await on.deliver(clock.now() + PAUSE_US)
            assert [body["app"] for body in server.bodies] == ["shop", "other"]


async def test_messages_of_one_alert_arrive_in_their_order(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(server.url))
            await fire(on)
            server.statuses[:] = [500]
            await on.deliver()
            await on.look([], clock.now())
            for later in range(3):
                await on.deliver(clock.now() + (later + 1) * PAUSE_US)
            assert [body["kind"] for body in server.bodies] == ["fired", "fired", "resolved"]


async def test_a_broken_channel_with_many_messages_does_not_delay_another_one(tmp_path: Path) -> None:
    with endpoint() as good, endpoint() as bad:
        async with stage(tmp_path) as on:
            broken, working = await on.channel(bad.url, "a broken one"), await on.channel(good.url, "working")
            at = clock.now()

            def fill(db: Connection) -> None:
                for number in range(2 * messages.AT_ONCE):
                    messages.add_message(db, None, broken, "test", {"kind": "test", "title": str(number)}, at - 1, at - 1)
                messages.add_message(db, None, working, "test", {"kind": "test", "title": "last"}, at, at)

            await on.store.write(fill)
            bad.statuses[:] = [500]
            await on.deliver(at)
            assert [body["title"] for body in good.bodies] == ["last"]


async def test_a_message_is_given_up_after_three_days(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            await on.rule(await on.channel(server.url))
            await fire(on)
            server.statuses[:] = [500]
            old = clock.now() - KEPT_US
            await on.store.write(lambda db: db.execute("UPDATE alert_message SET created_at = ?, due_at = ?", (old, old)).rowcount)
            await on.deliver()
            [message] = await on.messages()
            assert (message.outcome, message.next_at) == ("given up", None)
            assert "not delivered within three days" in caplog.text


async def test_what_was_withdrawn_meanwhile_is_not_sent(tmp_path: Path) -> None:
    with endpoint() as server:
        async with stage(tmp_path) as on:
            hook = await on.channel(server.url)
            await on.rule(hook)
            await fire(on)
            due = await messages.list_due(on.store, clock.now())
            await on.store.write(partial(messages.withdraw_of_channel, channel_id=hook))
            await on.delivery._send_all(hook, due)
            assert server.received == []


async def test_a_channel_whose_address_cannot_be_decrypted_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel())
        await on.store.write(lambda db: db.execute("UPDATE alert_channel SET sealed = 'AAAA'").rowcount)
        await fire(on)
        await on.deliver()
        [message] = await on.messages()
        assert "could not be decrypted" in message.error


async def test_closing_ends_what_is_being_sent(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.rule(await on.channel("http://10.255.255.1:9/"))
        await fire(on)
        await on.delivery.round(clock.now())
        await asyncio.sleep(0)
        await asyncio.wait_for(on.delivery.close(), 2)
        [message] = await on.messages()
        assert message.next_at is not None
