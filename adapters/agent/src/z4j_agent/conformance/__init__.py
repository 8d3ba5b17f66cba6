# SPDX-License-Identifier: Apache-2.0
"""The suite every adapter passes: real workers of the engine, a real gateway, no fakes.

    from z4j_agent.conformance import AdapterContract, Harness, Outcome

    class MyHarness(Harness): ...
    class TestMyEngine(AdapterContract):
        harness_class = MyHarness

A declared capability must work; an undeclared one must be answered with `unsupported`. Nothing is skipped. Add
`pytest.register_assert_rewrite("z4j_agent.conformance.contract")` to the conftest, so that failures print their values.
"""

from z4j_agent.conformance.contract import AdapterContract
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, Outcome, wait_for

__all__ = ["AdapterContract", "Gateway", "Harness", "Link", "Outcome", "Record", "wait_for"]
