# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the tests are run: no file is left out or run twice, and a test that hangs is ended and named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import run
from tests.suite import processes
from tests.suite.folders import FOLDERS, ROOT, Folder
from tests.suite.part import parts
from tests.suite.processors import FEWEST, MOST, Processors, Ticks, read_ticks, read_yielding
from tests.suite.report import BEGIN, END, PROOF, write_table
from tests.suite.shards import PARTS, Shard, Taken, divide, in_order, read_seconds
from tests.support.stack import is_seen_within

FOLDER = Folder("tests/example", "server")


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), st.none() | st.floats(0, 500), min_size=1), st.floats(1, 300))
@settings(deadline=None)
def test_every_file_is_in_exactly_one_shard(files: dict[str, float | None], length: float) -> None:
    known = {file: Taken(taken, taken / 3) for file, taken in files.items() if taken is not None}
    shards = divide(FOLDER, sorted(files), known, length)
    assert sorted(file for shard in shards for file in shard.files) == sorted(files)
    assert len({shard.name for shard in shards}) == len(shards)
    assert Counter(in_order(shards)) == Counter(shards)


def test_the_longest_begin_first_and_those_that_compute_are_spread_among_the_others() -> None:
    def made(number: int, seconds: float, share: float) -> Shard:
        return Shard(FOLDER, ("a.py",), seconds, number, 99, cpu_seconds=seconds * share)

    computing, waiting = [made(number, 60 - number, 0.9) for number in range(3)], [made(number, 99 - number, 0.1) for number in range(3, 9)]
    order = in_order([*computing, *waiting])
    assert [shard for shard in order if shard in computing] == computing
    assert [shard for shard in order if shard in waiting] == waiting
    assert max(len(list(row)) for _, row in groupby(order, lambda shard: shard in computing)) == 2


def test_a_long_file_is_divided_among_shards_of_its_own() -> None:
    long = "adapters/celery/tests/commands/test_operate.py"
    shards = divide(FOLDER, ["a.py", "b.py", long], {"a.py": Taken(10, 1), "b.py": Taken(20, 2), long: Taken(300, 90)})
    assert {shard.cpu_seconds for shard in shards} == {3, 45}
    assert [(shard.files, shard.part, shard.seconds) for shard in shards] == [
        (("a.py", "b.py"), "", 30), ((long,), "1/2", 150), ((long,), "2/2", 150),
    ]  # fmt: skip
    assert len({shard.name for shard in shards}) == len(shards)
    assert set(PARTS) <= {file for folder in FOLDERS for file in folder.files()}


@given(st.lists(st.integers(0, 8), min_size=1), st.integers(1, 5))
@settings(deadline=None)
def test_every_test_is_in_exactly_one_part_and_a_class_is_not_torn_apart(tests: list[int], of: int) -> None:
    found = parts(tests, of)
    assert len(found) == len(tests)
    assert found == sorted(found)
    assert set(found) <= set(range(1, of + 1))
    for (group, part), (next_group, next_part) in pairwise(zip(tests, found, strict=True)):
        assert part == next_part or group != next_group
    assert parts(range(100), of) == sorted(number for number in range(1, of + 1) for _ in range(100 // of)) or 100 % of


def test_the_parts_of_a_file_run_all_of_its_tests_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import pytest
@pytest.mark.parametrize("number", range(4))
def test_alone(number): pass
class TestTogether:
    def test_first(self): pass
    def test_second(self): pass
"""
    seen = [{test.rpartition("::")[2] for test in shard_of(tmp_path, text, monkeypatch, part=f"{number}/2").outcomes} for number in (1, 2)]
    assert seen == [{f"test_alone[{number}]" for number in range(3)}, {"test_alone[3]", "test_first", "test_second"}]


def test_another_process_begins_while_a_processor_is_idle() -> None:
    clock, ticks = [0.0], [Ticks(1_000, 500)]
    others: dict[int, int] = {}
    processors = Processors(lambda: ticks[0], lambda: clock[0], lambda: dict(others))
    assert processors.has_room(FEWEST - 1)
    assert not processors.has_room(FEWEST), "what has just begun still imports"
    clock[0], ticks[0] = 2.0, Ticks(1_400, 540)
    assert processors.has_room(FEWEST), "40 of 400 were idle"
    assert not processors.has_room(FEWEST), "the next look begins"
    clock[0] = 4.0
    assert not processors.has_room(MOST), "however idle they are"
    ticks[0], others = Ticks(1_800, 570), {7: 1_000}
    assert not processors.has_room(FEWEST), "30 of 400 were idle, and what has just been seen may have run for long"
    clock[0], ticks[0], others = 6.0, Ticks(2_200, 600), {7: 1_010}
    assert processors.has_room(FEWEST), "30 of 400 were idle, and 10 were taken by what runs where nothing else does"


def test_the_processors_of_this_machine_are_read() -> None:
    first, second = read_ticks(), read_ticks()
    assert 0 < first.idle <= first.all <= second.all


def test_what_runs_where_nothing_else_does_is_found() -> None:
    code = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); print('so', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"so\n"
        yielding = read_yielding()
        child.communicate(b"\n")
    assert (child.pid in yielding) is (os.sched_getscheduler(0) != os.SCHED_IDLE)
    assert os.getpid() not in yielding


def test_every_test_file_of_the_project_is_in_a_folder_that_is_run() -> None:
    listed = subprocess.run(["git", "ls-files", "*/test_*.py", "test_*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    run = {file for folder in FOLDERS for file in folder.files()}
    assert set(listed.split()) - run == set()


def test_what_is_known_of_lengths_is_of_files_that_exist() -> None:
    assert {file for file in read_seconds() if not (ROOT / file).exists()} == set()


def shard_of(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, limit: float = 30, part: str = "") -> processes.Result:
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 0\n")
    monkeypatch.setattr(processes, "SHORTEST_LIMIT_S", limit)
    alone = Folder(str(folder), "server", arguments=("-c", str(folder / "pytest.ini")))
    return processes.run(Shard(alone, (str(folder / "test_it.py"),), 1, part=part), [])


def test_a_test_that_hangs_is_named_and_its_children_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child"
    text = f"""
import pathlib, subprocess, sys, time
def test_first(): pass
def test_second():
    pathlib.Path({str(child)!r}).write_text(str(subprocess.Popen(["sleep", "60"], start_new_session=True).pid))
    time.sleep(60)
"""
    result = shard_of(tmp_path, text, monkeypatch, limit=15)
    assert not result.is_passed
    assert result.hung.endswith("::test_second")
    assert list(result.outcomes.values()) == ["passed"], "of what ended before it is known how"
    assert is_seen_within(5, lambda: not is_running(int(child.read_text()))), "a busy machine ends a process a moment after SIGKILL"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_each_test_did_is_read_from_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import pytest
def test_good(): pass
def test_bad(): assert not "good"
def test_not_here(): pytest.skip("no such thing here")
@pytest.fixture
def broken(): raise ValueError
def test_without_its_fixture(broken): pass
"""
    result = shard_of(tmp_path, text, monkeypatch)
    assert not result.is_passed
    assert not result.hung
    ends = {test.rpartition("::")[2]: outcome for test, outcome in result.outcomes.items()}
    assert ends == {"test_good": "passed", "test_bad": "failed", "test_not_here": "skipped", "test_without_its_fixture": "failed"}
    assert any("no such thing here" in reason for reason in result.reasons)


def test_what_failed_is_run_alone_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"""
import pathlib
import pytest
been = pathlib.Path({str(tmp_path / "been")!r})
@pytest.mark.parametrize("word", ["now and then"])
def test_flaky(word):
    if not been.exists():
        been.touch()
        raise AssertionError(word)
def test_bad(): assert {str(tmp_path)!r} == ""
"""
    first = shard_of(tmp_path, text, monkeypatch)
    [flaky, bad] = processes.failed_ids(first.output)
    assert flaky.endswith("::test_flaky[now and then]")
    assert bad.endswith("::test_bad")
    alone = Folder(str(tmp_path), "server", arguments=("-c", str(tmp_path / "pytest.ini")))
    shard = Shard(alone, (str(tmp_path / "test_it.py"),), 1)
    run.run_again(shard, [], first)
    assert not first.is_passed, "one of them fails alone, too"
    assert "test_bad" in capsys.readouterr().out
    (tmp_path / "been").unlink()
    only_flaky = processes.run(Shard(alone, (str(tmp_path / "test_it.py") + "::test_flaky",), 1), [])
    assert not only_flaky.is_passed
    run.run_again(shard, [], only_flaky)
    assert only_flaky.is_passed
    assert [test.rpartition("::")[2] for test in only_flaky.flaky] == ["test_flaky[now and then]"]


def test_what_each_file_computed_is_measured_also_in_processes_that_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import subprocess, sys, time
SPIN = "import time; ends = time.process_time() + 0.4\\nwhile time.process_time() < ends: pass\\nprint(flush=True); input()"
def test_it():
    global child
    child = subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
"""
    (tmp_path / "test_other.py").write_text("import time\ndef test_it(): time.sleep(0.5)")
    (tmp_path / "test_it.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    alone = Folder(str(tmp_path), "server", arguments=("-c", str(tmp_path / "pytest.ini")))
    result = processes.run(Shard(alone, (str(tmp_path / "test_it.py"), str(tmp_path / "test_other.py")), 1), [])
    computed = {Path(file).name: seconds for file, seconds in result.file_cpu_seconds.items()}
    assert computed["test_it.py"] >= 0.4
    assert computed["test_other.py"] < 0.3


def test_a_recorded_run_writes_the_table_of_the_documents(tmp_path: Path) -> None:
    proof = tmp_path / "proof.md"
    proof.write_text(f"before\n{BEGIN}\nan old table\n{END}\nafter\n")
    ends = {"a": "passed", "b": "failed", "c": "passed"}
    results = [
        processes.Result("tests/unit 1/2", "tests/unit", False, 1, 90, 60, outcomes=ends),
        processes.Result("tests/unit 2/2", "tests/unit", True, 0, 30, 12, outcomes={"d": "passed"}),
        processes.Result("tests/e2e", "tests/e2e", True, 0, 600, 120, outcomes={"e": "failed"}, flaky=["e"]),
    ]
    write_table(results, 630, again=1, proof=proof)
    text = proof.read_text()
    assert text.startswith(f"before\n{BEGIN}\nCommit ")
    assert text.endswith(f"{END}\nafter\n")
    assert "5 tests in 10.5 minutes; 1 failed, 1 passed only at the second try." in text
    assert "| tests/e2e | 10.0 | 2.0 | 1 |\n| tests/unit | 2.0 | 1.2 | 4 |\n| all | 10.5 | 3.2 | 5 |\n" in text
    assert "old table" not in text
    assert BEGIN in PROOF.read_text("utf-8")
    assert END in PROOF.read_text("utf-8")


def test_processes_write_bytecode_wherever_they_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it each worker of a run compiles its engine again, which takes more than half of a run's processor time."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    text = """
import subprocess, sys
def test_here(): assert not sys.dont_write_bytecode
def test_below():
    assert subprocess.run([sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"], capture_output=True).stdout == b"False\\n"
"""
    result = shard_of(tmp_path, text, monkeypatch)
    assert list(result.outcomes.values()) == ["passed", "passed"], result.output


def test_a_folder_that_does_not_exist_is_refused() -> None:
    command = [sys.executable, "tests/run.py", "adapters/agent/tests/none"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "No test folder begins with adapters/agent/tests/none." in ended.stderr
