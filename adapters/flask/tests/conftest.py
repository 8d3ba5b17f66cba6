# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.web import Site

ROOT = Path(__file__).resolve().parents[3]


def engine_path() -> str:
    """Celery for the application, from its own environment where this one has none: what is tested here is the framework."""
    if importlib.util.find_spec("celery"):
        return ""
    [packages] = (ROOT / ".venvs/celery/lib").glob("python3.*/site-packages")
    return os.pathsep.join((str(ROOT / "adapters/celery/src"), str(packages)))


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
def make_site(tmp_path: Path, gateway: Gateway, broker: str) -> Iterator[Any]:
    made: list[Site] = []

    def make(cwd: Path) -> Site:
        made.append(Site(tmp_path, gateway.url, cwd=cwd, BROKER_URL=broker, PYTHONPATH=engine_path()))
        return made[-1]

    yield make
    for site in made:
        site.tear_down()


@pytest.fixture
def site(make_site: Any) -> Any:
    return make_site(Path(__file__).parent)


@pytest.fixture
def example(make_site: Any) -> Any:
    return make_site(ROOT / "examples" / Path(__file__).parents[1].name)
