# SPDX-License-Identifier: AGPL-3.0-or-later
"""A kind of line that comes too often is counted, not written."""

from __future__ import annotations

import logging
from typing import Any

from z4j import logs
from z4j.logs import Throttle


def record(message: str, created: float, *, level: int = logging.WARNING, name: str = "asyncio", **facts: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, message, None, None)
    made.created = created
    if facts:
        made.facts = facts
    return made


def passed(throttle: Throttle, records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    return [made for made in records if throttle.filter(made)]


def test_a_kind_passes_a_few_times_per_period() -> None:
    throttle = Throttle(lines=5, period_s=10)
    # As asyncio says it when descriptors run out: a line of its own per try, with another address in the second line.
    burst = [record(f"socket.accept() out of system resource\nsocket {number}", 100 + number / 1_000) for number in range(2_000)]
    assert len(passed(throttle, burst)) == 5
    [later] = passed(throttle, [record("socket.accept() out of system resource\nsocket", 111)])
    assert later.__dict__["facts"] == {"left_out": 1_995}
    assert len(passed(throttle, [record("another", 100.5)])) == 1


def test_what_known_people_do_is_always_written() -> None:
    throttle = Throttle(lines=5, period_s=10)
    ours = [record("request", 100, level=logging.INFO, who="ada") for _ in range(50)]
    strangers = [record("request", 100, level=logging.INFO, who="-") for _ in range(50)]
    assert len(passed(throttle, ours)) == 50
    assert len(passed(throttle, strangers)) == 5


def test_kinds_are_forgotten_before_they_fill_the_memory() -> None:
    throttle = Throttle()
    for number in range(3_000):
        assert throttle.filter(record(f"kind {number}", 100))
    assert len(throttle._kinds) <= 1_000


def test_failed_handshakes_of_many_addresses_write_few_lines() -> None:
    throttle, written = Throttle(lines=5), []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record)

    keep, logger = Keep(), logging.getLogger("z4j.gateway")
    keep.addFilter(throttle)
    level = logger.level
    logger.addHandler(keep)
    logger.setLevel(logging.INFO)
    try:
        for number in range(1_000):
            logs.handshake_failed(f"2001:db8::{number:x}", "WRONG_VERSION_NUMBER")
    finally:
        logger.removeHandler(keep)
        logger.setLevel(level)
    assert len(written) <= 5
