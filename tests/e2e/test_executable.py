# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one file that is shipped: built, started, connected to by a real worker, restarted, and everything is still there."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from jinja2.bccache import Bucket
from PyInstaller.archive.readers import CArchiveReader

from tests.support.browserless import Person
from tests.support.demo import running_demo
from tests.support.executable import build
from tests.support.stack import PATIENCE_S, ROOT, stack, wait_for
from z4j import resources
from z4j.web.frame.render import environment
from z4j.web.frame.templating.compiled_templates import CompiledTemplates


@pytest.fixture(scope="module")
def executable() -> Path:
    return build()


@pytest.mark.timeout(420)
def test_executable_serves_survives_and_remembers(executable: Path, tmp_path: Path) -> None:
    with stack(tmp_path) as shop:
        shop.start_broker()
        shop.command("migrate")
        shop.add_app()
        server = shop.start_server([executable])
        worker = shop.start_worker()
        person = Person.sign_in(shop)
        tasks = shop.produce("shop.charge", 3, "[5]")
        wait_for(lambda: [shop.states().get(task) for task in tasks] == [11, 11, 11], what="the worker's tasks arrived")
        assert "card of order 5 declined" in person.get_task(tasks[0]).text
        assert server.end() == 0
        shop.start_server([executable])
        assert "card of order 5 declined" in person.get_task(tasks[0]).text
        assert "/static/" in person.get("/tasks").text
        more = shop.produce("shop.ship", 2, "[6]")
        wait_for(lambda: [shop.states().get(task) for task in more] == [12, 12], what="the worker found the way back")
        assert worker.end() == 0


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killed_launcher_takes_the_server_with_it(executable: Path, tmp_path: Path) -> None:
    """One file is two processes; the server must not outlive its launcher and block the data folder."""
    with stack(tmp_path) as shop:
        shop.command("migrate")
        server = shop.start_server([executable])
        [inner] = children_of(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(60)
        wait_for(lambda: not Path(f"/proc/{inner}").exists(), seconds=15, what="the inner process ended by itself")
        shop.start_server([executable])


def test_it_contains_every_template_compiled(executable: Path) -> None:
    """For the Python inside and the sources inside, so that none is compiled while somebody waits for a page."""
    archive, env = CArchiveReader(str(executable)), environment()
    names = env.list_templates()
    for name in names:
        source, _, _ = env.loader.get_source(env, name)  # type: ignore[union-attr]
        cache = CompiledTemplates(resources.root())
        bucket = Bucket(env, cache.get_cache_key(name), cache.get_source_checksum(source))
        bucket.bytecode_from_string(archive.extract(f"compiled/{bucket.key}"))
        assert bucket.code is not None, name
    assert len(names) > 50


def test_version(executable: Path) -> None:
    printed = subprocess.run([executable, "version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed.startswith("z4j 0.")


@pytest.mark.timeout(420)
def test_executable_is_a_demo_of_its_own(executable: Path, tmp_path: Path) -> None:
    """From an empty folder with an empty environment: the month, a real task, a recorded action, and the sizes that are promised."""
    assert executable.stat().st_size < 45_000_000
    with running_demo(tmp_path, program=[executable], cwd=tmp_path, env={}, tasks=60_000) as demo:
        print(f"its first page after {demo.started_s:.1f} s, and {demo.started_processor_s:.1f} s of a processor")
        assert demo.started_s < 40 + PATIENCE_S
        assert 1 < demo.started_processor_s < 30
        failed = next(task for task in demo.tasks(state="failed", engine="huey", limit=500) if task["worker"] == "huey@hall-1")
        retried = demo.settled(demo.post(f"/tasks/{failed['id']}/actions", action="retry_task"))
        wait_for(
            lambda: [task["worker"][:10] for task in demo.tasks(task_id=retried["params"]["new_id"])] == ["warehouse@"], what="its run"
        )
        recorded = demo.tasks(state="failed", engine="celery", env="production", limit=1)[0]
        noted = demo.settled(demo.post(f"/tasks/{recorded['id']}/actions", action="retry_task"))
        assert "demo" in noted["detail"]["note"]
        wait_for(lambda: len({row["scheduler"] for row in demo.get("/schedules")["schedules"]}) == 8, what="all schedulers")
    assert {path.name for path in tmp_path.iterdir()} == {"demo", "demo.log"}


MOUNTED = "mount -t tmpfs -o noexec tmpfs /tmp && mkdir /tmp/data && "
"""Run in a mount namespace of its own, as root: the machine's /tmp is left alone."""


def in_namespace(script: str, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--mount", "bash", "-c", MOUNTED + script, "bash", *map(str, words)]
    ours = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    return subprocess.run(command, env=ours | env, capture_output=True, text=True, timeout=60, check=False)


def test_where_tmp_permits_no_execution_the_documents_have_what_the_loader_says(executable: Path) -> None:
    """The loader of the file fails before any code of z4j runs."""
    done = in_namespace('exec "$1" version', executable)
    assert done.returncode == 127
    said = done.stderr.strip().partition("error while ")[2]
    assert said.startswith("loading shared libraries: ")
    assert said.endswith("failed to map segment from shared object")
    documents = (ROOT / "docs/deploy/README.md").read_text().replace("\n", " ")
    assert "error while loading shared libraries: libz.so.1: failed to map segment from shared object" in documents
    assert f"error while {said}" in documents


def test_where_tmp_permits_no_execution_another_folder_or_the_unit_does(executable: Path, tmp_path: Path) -> None:
    assert in_namespace('exec "$1" version', executable, TMPDIR=str(tmp_path)).stdout.startswith("z4j ")
    script = '"$1" install-service --user root --data "$2"'
    printed = in_namespace(script, executable, tmp_path / "data", TMPDIR=str(tmp_path))
    assert printed.returncode == 0, printed.stderr
    [variable] = [line for line in printed.stdout.splitlines() if line.startswith("Environment=TMPDIR=")]
    folder = variable.partition("TMPDIR=")[2]
    assert in_namespace('mkdir -p "$2" && exec "$1" version', executable, folder, TMPDIR=folder).stdout.startswith("z4j ")
    refused = in_namespace(script, executable, "/tmp/data", TMPDIR=str(tmp_path))
    assert refused.returncode != 0
    assert "/tmp/data is mounted noexec" in refused.stderr
    assert "Nothing was written." in refused.stderr
