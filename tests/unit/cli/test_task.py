# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j task logs` and `z4j task stack` against the API of a server in this process."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any, cast

import pytest

from tests.support.database import SECOND, T, origin, task
from tests.support.site import Site
from tests.unit.cli.conftest import Run
from tests.unit.web.api.test_openapi import IDS
from z4j.agents.ingest import ingest_batch
from z4j.cli.common.client import Client, print_command
from z4j_agent import wire

COMMAND, ROLE = "task", "operator"
STARTED = T + 2 * SECOND


def log(shop: Site, *lines: tuple[int, str, int]) -> None:
    """Reports (level, message, dropped so far) of the first task."""
    records = [
        task("logged", IDS[0], STARTED + number, STARTED, number, level, "shop.orders", message, dropped)
        for number, (level, message, dropped) in enumerate(lines)
    ]
    shop.call(ingest_batch, shop.server.store, 1, b"".join(map(wire.encode_record, [origin(), *records])), at=T)


def test_lines_are_printed_with_what_was_dropped(run: Run, shop: Site) -> None:
    assert run("logs", IDS[0]) == (0, "No log lines were recorded.\n")
    log(shop, (20, "charging 8123", 0), (30, "slow bank", 2), (0, "", 5))
    code, said = run("logs", IDS[0])
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    assert lines[0][:2] == ["attempt", "1"]
    assert lines[1][-4:] == ["info", "shop.orders", "charging", "8123"]
    assert lines[2] == ["2", "lines", "dropped"]
    assert lines[3][-4:] == ["warning", "shop.orders", "slow", "bank"]
    assert lines[4] == ["3", "lines", "dropped"]


def test_a_line_cannot_control_the_terminal(run: Run, shop: Site) -> None:
    log(shop, (20, "red \x1b[31m", 0))
    said = run("logs", IDS[0])[1]
    assert "red " in said
    assert "\x1b" not in said


def test_lines_are_filtered_by_level_and_printed_as_json(run: Run, shop: Site) -> None:
    log(shop, (20, "charging 8123", 0), (30, "slow bank", 0))
    assert "charging" not in run("logs", IDS[0], "--level", "warning")[1]
    [of_run] = json.loads(run("logs", IDS[0], "--json")[1])["runs"]
    assert [line["message"] for line in of_run["lines"]] == ["charging 8123", "slow bank"]
    assert run("logs", "unknown-task")[0] == 4


def test_a_task_that_does_not_run_has_no_stack(run: Run) -> None:
    code, said = run("stack", IDS[0])
    assert code == 5
    assert "failed" in said


def test_frames_of_a_stack_are_printed_below_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    result: Any = {
        "action": "inspect_task",
        "status": "done",
        "detail": {"stack": ["shop/orders.py:12 in charge", "shop/bank.py:3 in pay"]},
    }
    assert print_command(cast(Client, None), result, Namespace(no_wait=True, json=False)) == 0
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert lines[0].startswith("inspect task: done")
    assert [line.strip() for line in lines[1:]] == ["shop/orders.py:12 in charge", "shop/bank.py:3 in pay"]
