# SPDX-License-Identifier: Apache-2.0
"""What an adapter of somebody else may import: listed in docs/adapters.md, and kept from one release to the next."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import z4j_agent
from z4j_agent import adapter, schedules

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/adapters.md"
FOR_APPLICATIONS = {"annotate", "configure", "current", "has", "progress", "remove", "start", "stop"}


def test_the_document_lists_every_name() -> None:
    listed = re.search(r"imported from `z4j_agent` itself: (.*?)\. Only these", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == sorted(set(z4j_agent.__all__) - FOR_APPLICATIONS)


@pytest.mark.parametrize("name", z4j_agent.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert getattr(z4j_agent, name) is not None


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        z4j_agent.nothing  # noqa: B018


@pytest.mark.parametrize("module", [adapter, schedules])
def test_the_paths_of_the_release_before_give_the_same_names(module: object) -> None:
    names: list[str] = module.__all__  # type: ignore[attr-defined]
    assert [getattr(module, name) is getattr(z4j_agent, name) for name in names] == [True] * len(names)


def test_an_application_pays_for_no_name_it_does_not_use() -> None:
    program = "import sys, z4j_agent; print(sorted(name for name in sys.modules if name.startswith('z4j_agent.contract.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["['z4j_agent.contract.interrupts']"]
