# SPDX-License-Identifier: AGPL-3.0-or-later
"""Nothing captured is lost and nothing acked is forgotten, whoever is killed. The witnesses are the tasks themselves."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.support.stack import Stack, wait_for
from tests.support.witness import disagreements, expected_states, unstarted

pytestmark = pytest.mark.timeout(400)


def run_server_kills(shop: Stack, rounds: int) -> None:
    """A stream of tasks while the server is killed at random moments; everything must be there in the end."""
    worker = shop.start_worker()
    server = shop.children[-2]
    sent: list[str] = []
    dice = random.Random(7)
    for _ in range(rounds):
        sent += shop.produce("mix", 120)
        time.sleep(dice.uniform(0.0, 0.4))
        server.kill()
        time.sleep(dice.uniform(0.0, 0.3))
        server = shop.start_server()
    wait_for(lambda: set(sent) <= set(expected_states(shop)), seconds=60, what="every task testified its end")
    wait_for(lambda: not disagreements(shop), seconds=30, what=f"the store agrees with {len(sent)} witnesses")
    assert shop.rows("PRAGMA integrity_check") == [("ok",)]
    assert not set(sent) - set(shop.states())
    assert shop.rows("SELECT coalesce(sum(events), 0) FROM gap") == [(0,)]
    assert worker.end() == 0


def test_server_killed_at_random_loses_nothing(shop: Stack) -> None:
    run_server_kills(shop, 3)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_server_killed_a_hundred_times_loses_nothing(shop: Stack) -> None:
    run_server_kills(shop, 100)


def run_server_away(shop: Stack, seconds: float, tasks: int) -> None:
    """`tasks` in ten parts while nobody listens: the host neither blocks nor forgets."""
    worker = shop.start_worker()
    first = shop.produce("shop.ship", 50, "[1]")
    wait_for(lambda: set(first) <= set(expected_states(shop)), what="the first tasks ran")
    shop.children[1].kill()
    began = time.monotonic()
    sent: list[str] = []
    for part in range(1, 11):
        sent += shop.produce("mix", tasks // 10)
        time.sleep(max(0.0, began + seconds * part / 10 - time.monotonic()))
    wait_for(lambda: set(sent) <= set(expected_states(shop)), seconds=60, what="tasks went on without the server")
    shop.start_server()
    wait_for(lambda: not disagreements(shop), seconds=45, what=f"{len(sent)} tasks arrived after the outage")
    assert worker.end() == 0


def test_server_away_under_load_is_caught_up(shop: Stack) -> None:
    run_server_away(shop, 15, 400)


@pytest.mark.long
def test_server_away_for_a_minute_is_caught_up(shop: Stack) -> None:
    run_server_away(shop, float(os.environ.get("Z4J_TEST_AWAY_S", "60")), 4_000)


def test_killed_children_and_main_are_reported(shop: Stack) -> None:
    worker = shop.start_worker()
    crashed = shop.produce("shop.crash", 4)
    wait_for(lambda: all(shop.states().get(t, 0) == 6 for t in crashed), seconds=30, what="killed children were reported")
    reasons = shop.rows("SELECT DISTINCT reason FROM task WHERE state = 6")
    assert reasons == [("child_killed",)]

    slow = shop.produce("shop.wait", 2, "[30]")
    wait_for(lambda: {line[1] for line in shop.testimony()} >= set(slow), what="two tasks run")
    began = {line[1] for line in shop.testimony()}
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait(60)
    again = shop.start_worker(name="worker")
    wait_for(lambda: not unstarted(shop), what="what the killed worker captured arrived")
    wait_for(
        lambda: all(shop.states()[t] == 6 for t in slow),
        seconds=40,
        what="tasks of the dead worker are lost, with evidence",
    )
    assert began <= set(shop.states())
    assert again.end() == 0
