# SPDX-License-Identifier: AGPL-3.0-or-later
"""Enqueues with Huey, from a module that is not the one the tasks are named after."""

from __future__ import annotations

import z4j_agent
from tests.support.canary.host import KNOWN
from tests.support.canary.huey_side import huey_login

sent = KNOWN["produced"]["huey"]
huey_login(*sent["args"], **sent["kwargs"])
agent = z4j_agent.current()
assert agent is not None
agent.flush(20.0)
