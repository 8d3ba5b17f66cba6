# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.support import shifted_clock

shifted_clock.shift()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command line run in this process sets logging up on the stderr of one test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
