# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry and Sentry beside z4j. Sentry has no integration of taskiq: its events are those of the error that taskiq logs."""

from __future__ import annotations

from test_conformance import ListHarness

from z4j_agent.conformance.other_tools import OtherToolsContract


class TestOtherTools(OtherToolsContract):
    harness_class = ListHarness
    span = "execute"
