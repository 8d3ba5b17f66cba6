# SPDX-License-Identifier: Apache-2.0
"""Waits for the end of commands and plans."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final

import anyio

from z4j_client._async.transport import AsyncOperations
from z4j_client.exceptions import WaitTimedOut
from z4j_client.models import CommandRow, PlanState
from z4j_client.protocol import path_of

POLL_S: Final = 0.3
LONGEST_POLL_S: Final = 2.0


class AsyncCommandWaiting(AsyncOperations):
    """Waiting for a command."""

    async def wait(self, command: CommandRow | str, *, timeout: float | None = None) -> CommandRow:
        """Returns the command after its result was reported, or it expired: `status` is done, refused, unsupported, failed, expired or
        unknown, and `detail` what the agent reported.

        `timeout` is in seconds; without one, a command ends at its expiry at the latest. Raises WaitTimedOut.
        """
        id = command if isinstance(command, str) else command.id
        began, pause = time.monotonic(), POLL_S
        while True:
            row = await self._get(path_of("/commands/{id}", id=id), CommandRow)
            if row.ended_at is not None:
                return row
            if timeout is not None and time.monotonic() - began + pause > timeout:
                raise WaitTimedOut(f"The command {row.action} has not ended within {timeout:g} s.", "It was not cancelled.", row)
            await anyio.sleep(pause)
            pause = min(pause * 1.2, LONGEST_POLL_S)


class AsyncPlanWaiting(AsyncOperations):
    """Following a plan."""

    async def follow(self, plan: PlanState | int, *, timeout: float | None = None) -> AsyncIterator[PlanState]:
        """Yields the plan at once, after each change, and at its end: `plan.ended_at` is then set, and `account` has the number of items by
        status. A plan that was not executed, or is paused, does not end.

        `timeout` is in seconds. Raises WaitTimedOut.
        """
        id = plan if isinstance(plan, int) else plan.plan.id
        began, pause, last = time.monotonic(), POLL_S, None
        while True:
            state = await self._get(path_of("/plans/{id}", id=id), PlanState)
            if state != last:
                yield state
                last, pause = state, POLL_S
            if state.plan.ended_at is not None:
                return
            if timeout is not None and time.monotonic() - began + pause > timeout:
                raise WaitTimedOut(f"The plan has not ended within {timeout:g} s.", "It was not stopped.", state)
            await anyio.sleep(pause)
            pause = min(pause * 1.2, LONGEST_POLL_S)

    async def wait(self, plan: PlanState | int, *, timeout: float | None = None) -> PlanState:
        """Returns the plan at its end, see `follow`. Raises WaitTimedOut."""
        last: PlanState | None = None
        async for state in self.follow(plan, timeout=timeout):
            last = state
        assert last is not None
        return last
