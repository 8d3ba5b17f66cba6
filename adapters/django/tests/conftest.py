# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.web import Site

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one Valkey for all tests of this folder."""
    site = Site(tmp_path_factory.mktemp("broker"), "")
    yield f"redis://127.0.0.1:{site.start_valkey()}/0"
    site.tear_down()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def site(tmp_path: Path, gateway: Gateway, broker: str) -> Iterator[Any]:
    made = Site(tmp_path, gateway.url, cwd=PROJECT, BROKER_URL=broker, DJANGO_SETTINGS_MODULE="shop.settings")
    yield made
    made.tear_down()
