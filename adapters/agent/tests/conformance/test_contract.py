# SPDX-License-Identifier: Apache-2.0
"""The suite can fail: an honest adapter passes all of it, and each broken one fails exactly where its defect is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
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


def run_suite(folder: Path, *tests: str, patience_s: int = 20, seconds: float = 400) -> tuple[int, str, dict[str, ET.Element]]:
    """(exit status, output, result of each test by its ID) of the contract over the toy engine."""
    report = folder / "report.xml"
    options = ["-q", "-rfE", "-p", "no:cacheprovider", "--basetemp", str(folder / "runs"), f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"{HERE / 'toy_contract.py'}::{test}" for test in tests)],
        env={**os.environ, "TOY_DEFECTS": " ".join(DEFECTS), "PYTHONPATH": str(HERE), "Z4J_PATIENCE": str(patience_s)},
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    cases = ET.parse(report).iter("testcase")
    results = {f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": case for case in cases}
    return done.returncode, done.stdout + done.stderr, results


@pytest.mark.timeout(420)
def test_an_honest_adapter_passes(tmp_path: Path) -> None:
    status, output, results = run_suite(tmp_path, "TestToy")
    assert status == 0, output[-4000:]
    assert len(results) > 35
    assert "skipped" not in output


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ET.Element]:
    """The result of the named test for each defect. One pytest process runs all of them: they share no worker and no gateway."""
    tests = [f"Test_{defect}::{test}" for defect, test in DEFECTS.items()]
    status, output, results = run_suite(tmp_path_factory.mktemp("broken"), *tests, patience_s=2, seconds=500)
    assert status == 1, output[-4000:]
    return results


@pytest.mark.timeout(600)
@pytest.mark.parametrize("breaks", sorted(DEFECTS))
def test_a_broken_adapter_fails(broken: dict[str, ET.Element], breaks: str) -> None:
    case = broken[f"Test_{breaks}::{DEFECTS[breaks]}"]
    [result] = [child for child in case if child.tag in ("failure", "error", "skipped")] or [case]
    assert result.tag == "failure", ET.tostring(result, "unicode")[-4000:]
    assert re.match(r"AssertionError|assert ", result.get("message", "")), f"it failed for another reason: {(result.text or '')[-3000:]}"
