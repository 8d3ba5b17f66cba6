# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much of one app may wait for the writer."""

from __future__ import annotations

import asyncio

import pytest

from z4j.agents.backpressure import Backpressure

pytestmark = pytest.mark.anyio


async def is_waiting(work: asyncio.Task[None]) -> bool:
    for _ in range(10):
        await asyncio.sleep(0)
    return not work.done()


async def test_beyond_the_limit_a_batch_waits_until_enough_of_its_app_is_stored() -> None:
    backpressure = Backpressure(100)
    await backpressure.take(1, 60)
    await backpressure.take(1, 40)
    late = asyncio.create_task(backpressure.take(1, 50))
    assert await is_waiting(late)
    await backpressure.give_back(1, 40)
    assert await is_waiting(late), "60 and 50 are more than 100"
    await backpressure.give_back(1, 60)
    assert not await is_waiting(late)
    assert backpressure.bytes_of(1) == 50


async def test_one_app_does_not_hold_up_another() -> None:
    backpressure = Backpressure(100)
    await backpressure.take(1, 100)
    other = asyncio.create_task(backpressure.take(2, 100))
    assert not await is_waiting(other)
    assert (backpressure.bytes_of(1), backpressure.bytes_of(2)) == (100, 100)


async def test_a_batch_above_the_limit_is_taken_alone() -> None:
    backpressure = Backpressure(100)
    await backpressure.take(1, 500)
    small = asyncio.create_task(backpressure.take(1, 1))
    assert await is_waiting(small)
    await backpressure.give_back(1, 500)
    assert not await is_waiting(small)
    large = asyncio.create_task(backpressure.take(1, 500))
    assert await is_waiting(large)
    await backpressure.give_back(1, 1)
    assert not await is_waiting(large)


async def test_a_connection_that_ended_while_it_waited_holds_nothing() -> None:
    backpressure = Backpressure(100)
    await backpressure.take(1, 100)
    gone = asyncio.create_task(backpressure.take(1, 100))
    assert await is_waiting(gone)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await backpressure.give_back(1, 0)
    assert backpressure.bytes_of(1) == 100
    await backpressure.give_back(1, 100)
    assert backpressure.bytes_of(1) == 0
