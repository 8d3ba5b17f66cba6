# SPDX-License-Identifier: Apache-2.0
"""The configuration of a worker whose work horses report what they do for the first time. With $PRELOAD, the worker has the tasks of
`engine_app` before it forks."""

from __future__ import annotations

import os

import z4j_rq
from z4j_agent.conformance import forked_children

z4j_rq.install()
if os.environ["PRELOAD"]:
    import engine_app  # noqa: F401
forked_children.watch()
