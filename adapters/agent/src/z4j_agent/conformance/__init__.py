# SPDX-License-Identifier: Apache-2.0
"""The suite every adapter passes: real workers of the engine, a real gateway, no fakes.

    from z4j_agent.conformance import AdapterContract, Harness, Outcome

    class MyHarness(Harness): ...
    class TestMyEngine(AdapterContract):
        harness_class = MyHarness

What operators may ask is proved by `OperateContract` in the same way, what must become of it where it cannot be done by
`FailuresContract`, what a server that was taken over must not achieve by `HostileServerContract`, what `install` and `uninstall` must
leave behind by `ReportingInstallContract`, that an engine's own example does not notice by `ExampleContract`, and the adapter of a
scheduler by `ScheduleContract`.

A declared capability must work; an undeclared one must be answered with `unsupported`. Nothing is skipped. In the conftest, let
`pytest.register_assert_rewrite` rewrite `z4j_agent.conformance.contract`, `….operate`, `….failures`, `….installing` and `….reading`, so
that failures print their values.
"""

from z4j_agent.conformance.contract import AdapterContract
from z4j_agent.conformance.examples import ExampleContract
from z4j_agent.conformance.failures import FailuresContract
from z4j_agent.conformance.gateway import Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, Outcome, wait_for
from z4j_agent.conformance.hostile import HostileServerContract
from z4j_agent.conformance.installing import InstallContract, ReportingInstallContract
from z4j_agent.conformance.operate import OperateContract
from z4j_agent.conformance.scheduling import ScheduleContract, ScheduleHarness

__all__ = [
    "AdapterContract", "ExampleContract", "FailuresContract", "Gateway", "Harness", "HostileServerContract", "InstallContract", "Link",
    "OperateContract", "Outcome", "Record", "ReportingInstallContract", "ScheduleContract", "ScheduleHarness", "wait_for",
]  # fmt: skip
