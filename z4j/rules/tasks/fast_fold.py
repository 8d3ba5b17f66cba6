# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fast path for the ordinary life cycle of a task: enqueued, received, started, ended, each once and reported in this order.

Almost every task follows it, and then its row follows from the previous row and these events, without a merge. The functions here return
None or False if that is not certain; then `reused_ids.reuse_check` and `fold` decide. For accepted events, `reuse_check.is_one_execution`
is always true. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from z4j.rules.tasks.fold import FACTS, SOURCE, Event, state_key
from z4j.rules.tasks.reused_ids.reuse_check import IN_ORDER
from z4j.rules.tasks.reused_ids.split_executions import SENDER, SKEW_US

OWN: Final = SOURCE["enqueued"]
"""The rank of name, queue and environment as the producer of the first attempt reports them: no other event of the life cycle overrides
it."""
EARLIEST: Final = 1_000
"""The state key of an earlier enqueue, equal to that of no events."""
_PAYLOAD: Final = IN_ORDER["payload"]
_RECEIVED: Final = IN_ORDER["received"]
_STARTED: Final = IN_ORDER["started"]
_ENDED: Final = IN_ORDER["succeeded"]
_END_KEYS: Final = {kind: state_key(kind, 0, 0) for kind, place in IN_ORDER.items() if place == _ENDED}


def is_first(events: Sequence[Event]) -> bool:
    """Whether these events of an unknown task begin with its enqueue, and with its arguments if those are included. `steps` checks the
    rest."""
    (
        kind, attempt, at, _, _, environment, name, queue, eta, received_at, started_at, _, _, _, _, _, _, _, _, _, _, _, _, _,
    ) = events[0]  # fmt: skip
    is_alone = not attempt and eta < 0 and received_at < 0 and started_at < 0
    if kind != "enqueued" or not is_alone or not (name and queue and environment) or at < EARLIEST:
        return False
    if len(events) == 1 or events[1][0] != "payload":
        return True
    payload = events[1]
    return not payload[1] and at <= payload[2] <= at + SKEW_US


def steps(events: Sequence[Event], enqueued_at: int, last_at: int, received_at: int, latest: float) -> tuple[int, int] | None:
    """Returns when a task was received and when it started, -1 if not reported, if these events are its next steps. Before them, it
    was enqueued, and received if `received_at` is not -1; the last event was at `last_at`, the next must be at `latest` or earlier."""
    step, at, received, started = _PAYLOAD if received_at < 0 else _RECEIVED, last_at, received_at, -1
    for event in events:
        kind, attempt, moment, _, _, _, _, _, eta, receipt, start, _, _, _, _, _, _, sent, _, _, _, _, _, _ = event
        place = IN_ORDER.get(kind, -1)
        if attempt or place <= step or not at <= moment <= latest or eta >= 0 or sent:
            return None
        step, at = place, moment
        if place == _ENDED:
            if not (_is_at(receipt, received, enqueued_at, moment) and _is_at(start, started, enqueued_at, moment)):
                return None
            received, started = max(received, receipt), max(started, start)
        elif receipt >= 0 or start >= 0:
            return None
        elif place == _RECEIVED:
            received = moment
        else:
            started = moment
    return (received, started) if started < 0 or received <= started else None


def latest_step(enqueued_at: int, args_rank: int | None, received_at: int) -> float:
    """Returns until when the next step certainly belongs to the same task: always, if its producer has reported the arguments. Arguments
    reported by a worker belong to the receipt, see `detection`."""
    return math.inf if received_at >= 0 or args_rank is None or args_rank & 255 >= SENDER else enqueued_at + SKEW_US


def is_end(event: Event, last_at: int, received_at: int, started_at: int) -> bool:
    """Whether an event is the end of a task that was received (-1: unknown) and started at these times. The end may report an unknown
    receipt."""
    kind, attempt, at, _, _, _, _, _, eta, received, started, _, _, _, _, _, _, sent, _, _, _, _, _, _ = event
    return (
        kind in _END_KEYS
        and not attempt
        and at >= last_at
        and started == started_at
        and eta < 0
        and not sent
        and (received < 0 or received == received_at or (received_at < 0 <= started - received <= SKEW_US))
    )


def key_of(kind: str, at: int) -> int:
    """Returns the state key of a step after the enqueue, like `fold.state_key`."""
    return _END_KEYS.get(kind) or at // 1000 << 4 | FACTS[kind]


def _is_at(reported: int, known: int, since: int, end: int) -> bool:
    return reported < 0 or reported == known or (known < 0 and since <= reported <= end)
