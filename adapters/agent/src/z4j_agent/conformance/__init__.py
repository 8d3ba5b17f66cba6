# SPDX-License-Identifier: Apache-2.0
"""The proof that an adapter tells z4j the truth and does its host no harm. For authors of adapters; needs pytest and psutil.

An engine's test file subclasses `AdapterContract` and gives it a fixture `harness`::

    import pytest
    pytest.register_assert_rewrite("z4j_agent.conformance")
    from z4j_agent.conformance import AdapterContract, Harness

    class TestMyEngine(AdapterContract):
        @pytest.fixture(scope="class")
        @classmethod
        def harness(cls): ...

Everything is real: the engine's own worker and producer processes, the agent inside them, and a gateway that speaks the wire.
What an adapter declares is demanded; what it does not declare must be answered with `unsupported`.
"""

from __future__ import annotations

from z4j_agent.conformance.contract import AdapterContract
from z4j_agent.conformance.gateway import Gateway, Told
from z4j_agent.conformance.harness import Harness, Process, Stack

__all__ = ["AdapterContract", "Gateway", "Harness", "Process", "Stack", "Told"]
