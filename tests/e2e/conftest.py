# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_shop


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A data folder with one app, to be copied: the two commands that make it take longer than many a test."""
    made = Stack(tmp_path_factory.mktemp("prepared"))
    made.command("migrate")
    made.add_app()
    return made


@pytest.fixture
def shop(tmp_path: Path, prepared: Stack) -> Iterator[Stack]:
    with running_shop(tmp_path, prepared) as made:
        yield made
