# SPDX-License-Identifier: Apache-2.0
"""The application of `engine_app`, whose worker's children report what they do for the first time."""

from __future__ import annotations

from engine_app import app  # noqa: F401 -- for `celery -A probed_app`

from z4j_agent.conformance import forked_children

forked_children.watch()
