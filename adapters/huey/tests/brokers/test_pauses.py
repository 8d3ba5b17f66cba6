# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from test_brokers import TwoHueys

from z4j_agent.conformance.brokers.pauses import PausesContract


class TestPauses(PausesContract):
    harness_class = TwoHueys
