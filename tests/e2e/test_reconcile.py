# SPDX-License-Identifier: AGPL-3.0-or-later
"""A worker is killed and never comes back under its name: what its engine knows of the tasks it held is found out by asking it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.stack import Stack, wait_for

pytestmark = pytest.mark.timeout(300)
QUEUED, RUNNING, SUCCEEDED = 2, 4, 12


@pytest.mark.long
def test_what_a_vanished_worker_held_is_looked_up(shop: Stack) -> None:
    """Acknowledged late, so that the broker gives the task out again an hour later: until then it waits, and the page says so."""
    gone = shop.start_worker(name="blue", env={"ACKS_LATE": "1"})
    task_id = shop.produce("shop.wait", 1, "[60]")[0]
    wait_for(lambda: shop.states().get(task_id) == RUNNING, what="it runs")
    os.killpg(gone.process.pid, signal.SIGKILL)  # with its children, as when a machine is gone
    shop.start_worker(name="green", env={"ACKS_LATE": "1"})
    wait_for(lambda: shop.states()[task_id] == QUEUED, seconds=90, what="its engine says that it waits again")
    assert shop.rows("SELECT flags FROM task")[0][0] & 4, "found out, not reported"
