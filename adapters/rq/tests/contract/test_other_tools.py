# SPDX-License-Identifier: Apache-2.0
"""Sentry's integration of RQ, and the application's own spans of OpenTelemetry, beside z4j."""

from __future__ import annotations

from test_conformance import RqHarness

from z4j_agent.conformance.other_tools import OtherToolsContract


class TestOtherTools(OtherToolsContract):
    harness_class = RqHarness
    span = "run/"
    marks_failures = False
