# SPDX-License-Identifier: Apache-2.0
"""A server that was taken over gets nothing run through Huey that the application did not register."""

from __future__ import annotations

from test_conformance import HueyHarness

from z4j_agent.conformance import HostileServerContract


class TestHostile(HostileServerContract):
    harness_class = HueyHarness
