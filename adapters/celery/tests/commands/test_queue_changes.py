# SPDX-License-Identifier: Apache-2.0
"""Queues are left and consumed in the order of the commands, though kombu's loop keeps what it is passed in a set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from celery import Celery
from kombu.asynchronous import Hub

from z4j_celery.state import AppState
from z4j_celery.worker_commands import consume, leave


class Consumer:
    """What Celery's consumer does with the two commands, with kombu's own loop."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.changes: list[str] = []

    def call_soon(self, call: object, *args: object) -> None:
        self.hub.call_soon(call, *args)

    def add_task_queue(self, queue: str) -> None:
        self.changes.append(f"consume {queue}")

    def cancel_task_queue(self, queue: str) -> None:
        self.changes.append(f"leave {queue}")


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    made = Consumer()
    yield made
    made.hub.close()


def run_round(consumer: Consumer) -> None:
    for call in consumer.hub._pop_ready():
        call()


def test_the_loop_has_no_order(consumer: Consumer) -> None:
    """Else the rest would prove nothing."""
    others = []
    for number in range(200):
        others.append([object() for _ in range(number % 7)])  # the order depends on where objects are in memory
        consumer.call_soon(partial(consumer.add_task_queue, str(number)))
    run_round(consumer)
    assert consumer.changes != [f"consume {number}" for number in range(200)]
    assert len(consumer.changes) == 200


def test_changes_are_applied_in_the_order_of_the_commands(consumer: Consumer) -> None:
    state = AppState(Celery("shop"))
    state.consumer = consumer
    expected, others = [], []
    for number in range(100):
        others.append([object() for _ in range(number % 7)])
        leave(state, f"q{number}")
        consume(state, f"q{number}")
        expected += [f"leave q{number}", f"consume q{number}"]
    assert consumer.changes == [], "in the worker's own thread"
    run_round(consumer)
    assert consumer.changes == expected
    leave(state, "q1")
    run_round(consumer)
    assert consumer.changes[len(expected) :] == ["leave q1"]
