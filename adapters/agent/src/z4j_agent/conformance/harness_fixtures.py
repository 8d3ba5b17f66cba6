# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the contracts: a gateway and an engine for a class of tests, and both for one test alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from z4j_agent.conformance.assertions import keep_trace, worker_link
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for


class HarnessFixtures:
    """What every contract shares. A subclass has a `harness_class`, and may start something other than a worker in `begin`."""

    harness_class: ClassVar[type[Harness]]

    @classmethod
    def begin(cls, gateway: Gateway, harness: Harness) -> None:
        """Starts what the tests of the class observe, and returns when it is connected."""
        harness.start_worker()
        wait_for(lambda: worker_link(gateway), "the worker connects")

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(cls) -> Iterator[Gateway]:
        gateway = Gateway()
        gateway.start()
        yield gateway
        gateway.stop()

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
        """An engine, monitored and connected."""
        harness = cls.harness_class(tmp_path_factory.mktemp("running"), gateway.url)
        try:
            harness.set_up()
            cls.begin(gateway, harness)
            yield harness
        finally:
            harness.tear_down()
            keep_trace(gateway, harness)

    @pytest.fixture
    def own_gateway(self) -> Iterator[Gateway]:
        gateway = Gateway()
        gateway.start()
        yield gateway
        gateway.stop()

    @pytest.fixture
    def alone(self, own_gateway: Gateway, tmp_path: Path) -> Iterator[Harness]:
        """An engine whose process the test starts and may end."""
        harness = self.harness_class(tmp_path, own_gateway.url)
        try:
            harness.set_up()
            yield harness
        finally:
            harness.tear_down()
