# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, stack


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stack]:
    """A server with one app, a broker, and no worker yet."""
    with stack(tmp_path) as made:
        made.start_broker()
        made.command("migrate")
        made.add_app()
        made.start_server()
        yield made
