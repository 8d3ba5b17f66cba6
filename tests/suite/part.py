# SPDX-License-Identifier: AGPL-3.0-or-later
"""A pytest plugin that runs one part of a file: `-p tests.suite.part --part 2/3`.

Tests of a class stay together, and the order of the file is kept, so that fixtures of a class are made once. Runs in every environment.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", help="number/of: which part of the collected tests is run")


@pytest.hookimpl(trylast=True)  # after those that were not chosen by their marks are gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number, _, of = str(config.getoption("--part")).partition("/")
    part_of = parts([getattr(item, "cls", None) or item.nodeid for item in items], int(of))
    left_out = [item for item, part in zip(items, part_of, strict=True) if part != int(number)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item, part in zip(items, part_of, strict=True) if part == int(number)]


def parts(groups: Sequence[Hashable], of: int) -> list[int]:
    """Returns the part, from 1 to `of`, of each test by its group: groups in a row are in one part, and parts are about equally long."""
    found: list[int] = []
    for _, members in groupby(groups):
        length = len(list(members))
        middle = len(found) + length / 2
        found += [min(int(middle * of / len(groups)) + 1, of)] * length
    return found
