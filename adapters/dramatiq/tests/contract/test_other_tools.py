# SPDX-License-Identifier: Apache-2.0
"""Sentry's integration of Dramatiq, and the application's own spans of OpenTelemetry, beside z4j."""

from __future__ import annotations

from test_conformance import DramatiqHarness

from z4j_agent.conformance.other_tools import BEFORE, OtherToolsContract


class TestOtherTools(OtherToolsContract):
    harness_class = DramatiqHarness
    span = "run/"
    moments = (BEFORE,)
