# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from z4j_agent.commands.command_ledger import Ledger
from z4j_agent.spool.shared_file import KEEP_BYTES


def test_a_torn_line_of_the_ledger_says_nothing_of_the_next_command(tmp_path: Path) -> None:
    """A command whose first line was torn by a full disk was not carried out."""
    (tmp_path / "commands.ledger").write_text("whole accepted\nwhole done\ntorn accep")
    ledger = Ledger(tmp_path)
    ledger.write("next", "accepted")
    for opened in (ledger, Ledger(tmp_path)):
        assert [opened.status(name) for name in ("whole", "torn", "next")] == ["done", None, "accepted"]


def test_a_ledger_that_cannot_be_read_stops_the_command(tmp_path: Path) -> None:
    (tmp_path / "commands.ledger").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="ledger"):
        Ledger(tmp_path).status("x")


def test_ledger_in_memory_and_shortened(tmp_path: Path) -> None:
    memory = Ledger(None)
    memory.write("a", "done")
    assert (memory.status("a"), memory.status("b")) == ("done", None)
    ledger = Ledger(tmp_path)
    assert ledger.status("x") is None
    (tmp_path / "commands.ledger").write_text("old accepted\n" * (KEEP_BYTES // 12))
    ledger.write("new", "done")
    assert (tmp_path / "commands.ledger").stat().st_size < KEEP_BYTES
    assert ledger.status("new") == "done"
