# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's instrumentation of Celery, and Sentry's integration, beside z4j."""

from __future__ import annotations

from test_conformance import CeleryHarness

from z4j_agent.conformance.other_tools import OtherToolsContract


class TestOtherTools(OtherToolsContract):
    harness_class = CeleryHarness
    span = "run/"
