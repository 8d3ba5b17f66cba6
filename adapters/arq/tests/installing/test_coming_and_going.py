# SPDX-License-Identifier: Apache-2.0
"""Installed, stopped, installed again, and beside another library that wraps the same methods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

import z4j_agent
import z4j_arq
from z4j_agent.conformance import Gateway


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "spool"
    z4j_arq.uninstall()
    z4j_agent.stop(0.1)


def put(spool: Path) -> None:
    z4j_arq.install(url=Gateway().url, spool=spool, environment="test")


def test_stopped_and_installed_again(spool: Path) -> None:
    plain = ArqRedis.enqueue_job
    put(spool)
    assert ArqRedis.enqueue_job is not plain
    z4j_agent.stop(0.1)
    assert ArqRedis.enqueue_job is plain
    put(spool)
    assert ArqRedis.enqueue_job is not plain


def test_what_another_library_put_on_later_stays(spool: Path) -> None:
    plain = ArqRedis.enqueue_job
    put(spool)
    ours: Any = ArqRedis.enqueue_job

    async def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await ours(self, *args, **kwargs)

    ArqRedis.enqueue_job = theirs  # type: ignore[assignment,method-assign]
    try:
        z4j_arq.uninstall()
        assert ArqRedis.enqueue_job is theirs
    finally:
        ArqRedis.enqueue_job = plain  # type: ignore[method-assign]
