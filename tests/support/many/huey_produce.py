# SPDX-License-Identifier: AGPL-3.0-or-later
"""Enqueues orders with Huey, from a module that is not the one the tasks are named after."""

from __future__ import annotations

import sys

import z4j_agent
from tests.support.many.huey_side import huey_order

for number in range(int(sys.argv[2])):
    huey_order(number)
agent = z4j_agent.current()
assert agent is not None
agent.flush(20.0)
