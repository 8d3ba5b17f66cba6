# SPDX-License-Identifier: Apache-2.0
"""The suite every adapter passes: real workers of the engine, a real gateway, no fakes.

    from z4j_agent.conformance import AdapterContract, Harness, Outcome

    class MyHarness(Harness): ...
    class TestMyEngine(AdapterContract):
        harness_class = MyHarness

`OperateContract` proves what operators may request, in the same way. `FailuresContract` proves the result of a command that cannot be
executed, `HostileServerContract` what a compromised server must not achieve, `ReportingInstallContract` that `uninstall` removes
everything that `install` added, `ExampleContract` that an engine's own example behaves the same with z4j, and `ScheduleContract` the
adapter of a scheduler.

A declared capability must work; an undeclared one must be answered with `unsupported`. Nothing is skipped. In the conftest, let
`pytest.register_assert_rewrite` rewrite `z4j_agent.conformance.contract`, `….operations`, `….failures`, `….installation` and
`….assertions`, so that failures print their values.
"""

from z4j_agent.conformance.contract import AdapterContract
from z4j_agent.conformance.examples import ExampleContract
from z4j_agent.conformance.failures import FailuresContract
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, Outcome, wait_for
from z4j_agent.conformance.hostile_server import HostileServerContract
from z4j_agent.conformance.installation import InstallContract, ReportingInstallContract
from z4j_agent.conformance.operations import OperateContract
from z4j_agent.conformance.scheduling import ScheduleContract, ScheduleHarness

__all__ = [
    "AdapterContract", "ExampleContract", "FailuresContract", "Gateway", "Harness", "HostileServerContract", "InstallContract", "Link",
    "OperateContract", "Outcome", "Record", "ReportingInstallContract", "ScheduleContract", "ScheduleHarness", "wait_for",
]  # fmt: skip
