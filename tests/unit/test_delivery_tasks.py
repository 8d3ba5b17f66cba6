# SPDX-License-Identifier: AGPL-3.0-or-later
"""One task for each receiver; what it raises is seen; closing waits for no thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from z4j.delivery_tasks import DeliveryTasks

pytestmark = pytest.mark.anyio


async def test_a_receiver_is_busy_until_the_end_of_its_task_is_seen() -> None:
    tasks, may_end = DeliveryTasks("test"), asyncio.Event()

    async def work() -> None:
        await may_end.wait()

    tasks.start(1, work())
    tasks.finish()
    assert (tasks.is_busy(1), tasks.is_busy(2)) == (True, False)
    may_end.set()
    await tasks.settle()
    assert tasks.is_busy(1)
    tasks.finish()
    assert not tasks.is_busy(1)


async def test_what_a_task_raises_is_raised_and_its_receiver_is_free_again() -> None:
    tasks = DeliveryTasks("test")

    async def work() -> None:
        raise LookupError("unexpected")

    tasks.start(1, work())
    with pytest.raises(LookupError):
        await tasks.settle()
    with pytest.raises(LookupError):
        tasks.finish()
    assert not tasks.is_busy(1)


async def test_closing_cancels_tasks_and_waits_for_no_thread() -> None:
    tasks, may_end = DeliveryTasks("test"), threading.Event()

    async def work() -> None:
        await tasks.in_thread(may_end.wait, 30)

    tasks.start(1, work())
    await asyncio.sleep(0.05)
    await asyncio.wait_for(tasks.close(), 5)
    may_end.set()
