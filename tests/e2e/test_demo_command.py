# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j demo` as a visitor meets it: filled pages that say demo, real engines that do what is requested, recorded agents that say demo."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.demo import RunningDemo, command_line, processes_of, running_demo
from tests.support.stack import ROOT, wait_for

PAGES = (
    "/tasks", "/queues", "/workers", "/schedules", "/schedules/calendar", "/plans", "/changes", "/changes/audit", "/settings/apps",
    "/settings/tokens", "/settings/users", "/settings/appliance", "/settings/account", "/tasks/run", "/connect", "/schedules/new",
)  # fmt: skip
RECORDED = {"celery": "shop", "rq": "documents", "dramatiq": "media", "taskiq": "media", "arq": "warehouse"}
BADGE = '<summary class="chip demo">demo</summary>'


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        wait_for(lambda: len(running.get("/plans")["plans"]) >= 3, seconds=40, what="the plans of the opening")
        yield running


def test_every_page_says_demo_and_is_filled(demo: RunningDemo) -> None:
    for path in PAGES:
        assert BADGE in demo.page(path), path
    assert 'class="chip demo"' in demo.visitor.get("/login?code=wrong").text
    assert BADGE in demo.page(f"/tasks/{demo.tasks(limit=1)[0]['id']}")
    assert {task["engine"] for task in demo.tasks(limit=500)} == {*RECORDED, "huey"}
    assert {queue["app"] for queue in demo.get("/queues")["queues"]} == {"shop", "documents", "media", "warehouse"}
    workers = demo.get("/workers")["workers"]
    assert {worker["environment"] for worker in workers} == {"production", "staging"}
    schedules = demo.get("/schedules")["schedules"]
    assert len({schedule["scheduler"] for schedule in schedules}) == 8, "seven schedulers, and z4j's own"
    missed = {schedule["name"] for schedule in schedules if schedule["state"] == "missed"}
    assert missed == {"rollup on staging", "nightly reindex"}, "of the dead beat, and of the faults"
    assert len(demo.get("/audit")["audit"]) > 20
    assert "Backups are disabled in a demo" in demo.page("/settings/appliance")


def test_the_month_tells_its_story(demo: RunningDemo) -> None:
    with closing(sqlite3.connect(f"file:{demo.data}/z4j.db?mode=ro", uri=True)) as db:
        first, last, tasks = db.execute("SELECT min(first_at), max(first_at), count(*) FROM task").fetchone()
        counted = db.execute("SELECT sum(tasks) FROM counter").fetchone()[0]
    assert tasks > 7_800
    assert counted == tasks, "the counters agree with the rows"
    assert 27 < (last - first) / 86_400_000_000 < 31
    failed = demo.tasks(state="failed", limit=500)
    kinds = {(task["error_type"], re.sub(r"\d+", "#", task["error"])) for task in failed}
    assert len({type for type, _ in kinds}) >= 6
    bad = [task for task in failed if task["error_type"] == "TypeError"]
    assert bad
    assert {task["release"] for task in bad} == {"2026.12.0"}


def test_a_failed_huey_task_really_runs_again(demo: RunningDemo) -> None:
    task = next(task for task in demo.tasks(state="failed", engine="huey", limit=500) if task["worker"] == "huey@hall-1")
    result = demo.settled(demo.post(f"/tasks/{task['id']}/actions", action="retry_task"))
    assert result["status"] == "done"
    assert "demo" not in str(result["detail"])
    again = wait_for(lambda: demo.tasks(task_id=result["params"]["new_id"]), what="the task that was enqueued again")[0]
    wait_for(lambda: demo.tasks(task_id=again["task_id"])[0]["state"] in ("succeeded", "failed"), what="its run")
    with closing(sqlite3.connect(f"file:{demo.data}/z4j.db?mode=ro", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM task WHERE id = ?", (again["id"],)).fetchone() == (1,)
    assert demo.tasks(task_id=again["task_id"])[0]["worker"].startswith("warehouse@")


def test_a_running_task_has_log_lines_and_a_stack(demo: RunningDemo) -> None:
    """A recorded one, of a worker that is not among the silent ones, and one that Huey really runs."""
    for about, text in (
        ({"engine": "celery", "app": "shop", "worker": "celery@shop-3"}, "connected to"),
        ({"engine": "huey", "app": "warehouse", "name": "warehouse.pack_order"}, "is packed from shelf"),
    ):

        def inspect(about: dict[str, str] = about) -> tuple[dict[str, Any], ...]:
            """A task that is shown as running may have ended when the command reaches its worker."""
            for task in demo.tasks(state="running", limit=1, env="production", **about):
                result = demo.settled(demo.post(f"/tasks/{task['id']}/actions", action="inspect_task"))
                if result["status"] == "done":
                    return task, result
            return ()

        task, result = wait_for(inspect, seconds=60, what=f"the stack of a running task of {about}")
        innermost = result["detail"]["stack"][-1].rpartition(" ")[2]
        path = f"/tasks/{task['id']}"
        wait_for(lambda path=path, text=text: text in demo.page(path), what=f"a log line of {about}")  # type: ignore[misc]
        assert innermost in demo.page(path)


def test_edit_cancel_pause_and_resume_of_the_real_engine(demo: RunningDemo) -> None:
    task = next(task for task in demo.tasks(state="failed", engine="huey", name="warehouse.print_label", limit=500))
    edited = demo.settled(demo.post(f"/tasks/{task['id']}/actions", action="edit_task", edit={"args": {"0": 4_711_000}}))
    assert edited["status"] == "done", edited
    wait_for(
        lambda: [found["result"] for found in demo.tasks(task_id=edited["params"]["new_id"])] == ['"label-4711000"'],
        what="the label of the edited order",
    )
    queue = {"app": "warehouse", "engine": "huey", "queue": "warehouse", "environment": "production"}
    [paused] = demo.post("/queues/actions", action="pause_queue", **queue)["commands"]
    assert demo.settled(paused)["status"] == "done"
    held = demo.settled(
        demo.post("/tasks", app="warehouse", engine="huey", name="warehouse.count_stock", args=["hall-9"], environment="production")
    )
    [waiting] = wait_for(lambda: demo.tasks(task_id=held["params"]["new_id"], state="queued"), what="the task in the paused queue")
    assert demo.settled(demo.post(f"/tasks/{waiting['id']}/actions", action="cancel_task"))["status"] == "done"
    [resumed] = demo.post("/queues/actions", action="resume_queue", **queue)["commands"]
    assert demo.settled(resumed)["status"] == "done"
    wait_for(lambda: demo.tasks(task_id=waiting["task_id"])[0]["state"] == "cancelled", what="the cancelled task is dropped")


def test_a_real_worker_that_is_shut_down_comes_back(demo: RunningDemo) -> None:
    def connected() -> list[str]:
        return [
            row["name"] for row in demo.get("/workers")["workers"] if row["state"] == "connected" and row["name"].startswith("warehouse@")
        ]

    [before] = connected()
    about = {"app": "warehouse", "environment": "production", "worker": before}
    [command] = demo.post("/workers/actions", action="shutdown_worker", confirm="shutdown", **about)["commands"]
    assert demo.settled(command)["status"] == "done"
    wait_for(lambda: connected() not in ([], [before]), seconds=40, what="the next consumer")


def test_a_real_schedule_is_edited_and_fires(demo: RunningDemo) -> None:
    [row] = [row for row in demo.get("/schedules")["schedules"] if row["name"] == "poll the carrier"]
    demo.post(f"/schedules/{row['id']}", expression="*/7 * * * *", reason="less often")

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = demo.get(f"/schedules/{row['id']}")
        return dict(found.get("schedule", found))

    wait_for(lambda: shown()["expression"] == "*/7 * * * *", what="APScheduler reports the new expression")
    demo.post(f"/schedules/{row['id']}/actions", action="fire")
    wait_for(lambda: "z4j-run-" in str(demo.get("/commands")["commands"][0]["detail"]), what="APScheduler accepts the run")
    [sensors] = [row for row in demo.get("/schedules")["schedules"] if row["name"] == "sensors of hall 2"]
    wait_for(lambda: demo.get(f"/schedules/{sensors['id']}")["fires"], seconds=40, what="a run by the clock")


def test_a_plan_is_undone(demo: RunningDemo) -> None:
    plans = demo.get("/plans")["plans"]
    [cancelled] = [plan for plan in plans if plan["action"] == "cancel_task" and plan["author"] == "jonas"]
    wait_for(lambda: demo.get(f"/plans/{cancelled['id']}")["plan"]["status"] == "done", what="the plan is done")
    undo = demo.post(f"/plans/{cancelled['id']}/undo")["plan"]
    assert undo["items"] == demo.get(f"/plans/{cancelled['id']}")["account"]["done"] > 0
    demo.post(f"/plans/{undo['id']}/execute", digest=undo["digest"])
    wait_for(lambda: demo.get(f"/plans/{undo['id']}")["plan"]["status"] == "done", what="the undo is done")
    assert demo.get(f"/plans/{undo['id']}")["account"]["done"] == undo["items"]


def has_state(demo: RunningDemo, task_id: str, state: str) -> bool:
    return bool(demo.tasks(task_id=task_id)[0]["state"] == state)


def is_disabled(demo: RunningDemo, id: int) -> bool:
    return not next(row["is_enabled"] for row in demo.get("/schedules")["schedules"] if row["id"] == id)


@pytest.mark.parametrize("engine", RECORDED)
def test_recorded_agents_answer_every_action_and_say_demo(demo: RunningDemo, engine: str) -> None:
    """What is done to a task shows in its state, too."""
    scope = {"engine": engine, "app": RECORDED[engine], "env": "production"}

    other = next(queue["name"] for queue in demo.get("/queues")["queues"] if queue["app"] == scope["app"])

    def one(state: str) -> dict[str, Any]:
        """The oldest of the newest: a task that runs only a moment would be over before it is stopped."""
        found = wait_for(partial(demo.tasks, state=state, limit=50, **scope), seconds=60, what=f"a {state} task of {engine}")
        return min(found, key=lambda task: task["first_at"])

    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("failed", "retry_task", {}), ("succeeded", "edit_task", {"edit": {"args": {"0": 5}}}),
        ("queued", "prioritise_task", {"level": "next"}), ("queued", "cancel_task", {}), ("retrying", "cancel_task", {}),
        ("running", "terminate_task", {}), ("cancelled", "restore_task", {}), ("queued", "move_task", {"queue": other}),
    ]  # fmt: skip
    if engine != "taskiq":
        steps.append(("scheduled", "release_task", {}))
    for state, action, more in steps:
        task = one(state)
        result = demo.settled(demo.post(f"/tasks/{task['id']}/actions", action=action, **more))
        assert (result["status"], "demo" in result["detail"]["note"]) == ("done", True), (action, result)
        if action in ("cancel_task", "terminate_task"):
            wait_for(partial(has_state, demo, task["task_id"], "cancelled"), what=action)
        if action in ("retry_task", "edit_task", "restore_task"):
            [again] = wait_for(partial(demo.tasks, task_id=result["params"]["new_id"]), what="the new task")
            assert "demo" in again["result"]
            assert again["args"].startswith("[5") if action == "edit_task" else again["args"] == task["args"]
            assert "demo: a recorded result" in demo.page(f"/tasks/{task['id']}")
    [queue] = {task["queue"] for task in demo.tasks(state="queued", limit=1, **scope)}
    about = {"app": scope["app"], "engine": engine, "queue": queue, "environment": "production"}
    for action, more in (("peek_queue", {}), ("pause_queue", {}), ("resume_queue", {}), ("purge_queue", {"confirm": "purge"})):
        for command in demo.post("/queues/actions", action=action, **about, **more)["commands"]:
            result = demo.settled(command)
            assert (result["status"], "demo" in result["detail"]["note"]) == ("done", True), (action, result)


def test_recorded_workers_and_schedulers_answer(demo: RunningDemo) -> None:
    worker = {"app": "shop", "worker": "celery@shop-3", "environment": "production"}
    for action, more in (
        ("resize_worker", {"by": 1}), ("consume_queue", {"queue": "extra"}), ("leave_queue", {"queue": "extra"}),
        ("restart_worker", {"confirm": "restart"}),
    ):  # fmt: skip
        for command in demo.post("/workers/actions", action=action, **worker, **more)["commands"]:
            result = demo.settled(command)
            assert (result["status"], "demo" in result["detail"]["note"]) == ("done", True), (action, result)
    for name in ("nightly reindex", "prices of southwind", "refresh recommendations", "scan leftovers", "drafts.sweep"):
        [row] = [row for row in demo.get("/schedules")["schedules"] if row["name"] == name]
        demo.post(f"/schedules/{row['id']}/actions", action="fire")
        demo.post(f"/schedules/{row['id']}/actions", action="disable", reason="test")
        wait_for(partial(is_disabled, demo, row["id"]), what=f"{name} is disabled")


def test_a_second_demo_on_its_folder_is_refused_and_changes_nothing(demo: RunningDemo) -> None:
    command = command_line((sys.executable, "-m", "z4j"), demo.data, "demo", "--port", "0")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "is already running on the data folder" in done.stderr) == (9, True), done.stderr
    assert BADGE in demo.page("/tasks")
    assert len(demo.tasks(limit=500)) > 100, "a list ends at its deadline on a busy machine"


def test_nobody_signs_in_with_a_password(demo: RunningDemo) -> None:
    with httpx.Client(base_url=demo.address, headers={"Origin": demo.address}, timeout=60) as stranger:
        for password in ("", "x", "a long enough passphrase"):
            answer = stranger.post("/login", data={"name": "visitor", "password": password})
            assert answer.status_code == 403, answer.text[:300]
            assert "Restart the demo to get a new login link" in answer.text


def test_it_refuses_what_is_not_a_demo(tmp_path: Path) -> None:
    python = (sys.executable, "-m", "z4j")
    real, foreign = tmp_path / "real", tmp_path / "foreign"
    subprocess.run(command_line(python, real, "migrate"), cwd=ROOT, check=True, capture_output=True)
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    before = (real / "z4j.db").read_bytes()
    for folder, words in ((real, "not marked as a demo"), (foreign, "thesis.txt")):
        done = subprocess.run(
            command_line(python, folder, "demo", "--port", "0"), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, words in done.stderr) == (5, True), done.stderr
    assert (real / "z4j.db").read_bytes() == before
    assert (foreign / "thesis.txt").read_text() == "precious"
    for options in (("--host", "0.0.0.0", "--tls", "auto"), ("--tls", "auto"), ("--behind-proxy",)):
        done = subprocess.run(
            command_line(python, tmp_path / "new", "demo", *options), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2, done.stderr
        assert not (tmp_path / "new").exists()


def test_a_killed_demo_leaves_nothing_behind_and_a_server_refuses_its_folder(tmp_path: Path) -> None:
    """SIGKILL, as by a closed terminal or by the out-of-memory killer. The next one starts in the same folder, and ends in order."""
    with running_demo(tmp_path, tasks=1_000, ends=(-signal.SIGKILL,)) as demo:
        assert processes_of(demo.data).count("z4j_demo") == 3
        demo.process.kill()
    with running_demo(tmp_path, tasks=1_000) as demo:
        assert BADGE in demo.page("/tasks")
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(60) in (0, 130)
    for command in ("serve", "dev"):
        done = subprocess.run(
            command_line((sys.executable, "-m", "z4j"), demo.data, command, "--port", "0"),
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, "is the database of a demo" in done.stderr) == (5, True), done.stderr
