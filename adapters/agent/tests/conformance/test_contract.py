# SPDX-License-Identifier: Apache-2.0
"""The suite can fail: an honest adapter passes all of it, and each broken one fails exactly where its defect is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

DEFECTS = {
    "forgets_starts": "test_outcome[succeed]",
    "calls_failures_successes": "test_outcome[fail]",
    "counts_no_attempts": "test_outcome[retry]",
    "misses_dead_children": "test_outcome[crash]",
    "has_no_tracebacks": "test_a_failure_has_its_traceback",
    "forgets_parents": "test_a_child_names_its_parent",
    "names_main_as_runner": "test_ends_name_the_process_that_ran_the_task",
    "shows_secrets": "test_a_secret_never_leaves_in_clear[by name]",
    "shows_secret_results": "test_a_secret_never_leaves_in_clear[by position]",
    "times_in_seconds": "test_every_record_is_well_formed",
    "lists_no_queues": "test_discovery_lists_tasks_queues_and_worker",
    "fails_inside": "test_nothing_went_wrong_inside",
    "forgets_what_runs": "test_heartbeats_tell_what_runs",
    "links_no_retries": "test_retry_runs_the_original_again",
    "retries_something_else": "test_retry_runs_the_original_again",
    "cancels_nothing": "test_cancel_keeps_a_waiting_task_from_running",
    "cancels_what_runs": "test_a_running_task_cannot_be_cancelled_as_if_it_waited",
    "stops_nothing": "test_terminate_stops_a_running_task",
    "wastes_time": "test_watching_stays_below_its_ceiling",
    "leaves_silently": "test_a_worker_that_ends_says_goodbye_and_leaves_nothing_behind",
}


def run_suite(tmp_path: Path, breaks: str = "", only: str = "") -> tuple[int, str]:
    """(exit status, output) of the contract over the toy engine."""
    target = f"{HERE / 'toy_contract.py'}{f'::TestToy::{only}' if only else ''}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "runs"), target],
        env={**os.environ, "TOY_BREAKS": breaks, "PYTHONPATH": str(HERE), "Z4J_PATIENCE": "2" if breaks else "20"},
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_an_honest_adapter_passes(tmp_path: Path) -> None:
    status, output = run_suite(tmp_path)
    assert status == 0, output[-4000:]
    assert int(re.search(r"(\d+) passed", output)[1]) > 35  # type: ignore[index]
    assert "skipped" not in output


@pytest.mark.parametrize("breaks", sorted(DEFECTS))
def test_a_broken_adapter_fails(tmp_path: Path, breaks: str) -> None:
    status, output = run_suite(tmp_path, breaks, DEFECTS[breaks])
    assert status == 1, output[-4000:]
    assert re.search(r"^E +(AssertionError|assert )", output, re.MULTILINE), f"it failed for another reason: {output[-3000:]}"
    assert " error" not in output.splitlines()[-1]
