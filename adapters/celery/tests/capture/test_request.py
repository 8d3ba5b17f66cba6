# SPDX-License-Identifier: Apache-2.0
"""Everything a task can read of its own request is equal with and without z4j, whether the producer, the worker or both are watched."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for

APPS = Path(__file__).resolve().parents[1] / "apps"
OWN = frozenset({"id", "root_id", "parent_id", "correlation_id", "delivery_tag", "hostname", "origin", "reply_to", "eta", "expires"})
"""What differs between two messages of one task without z4j, too: compared by type alone."""
DUMPS = ("plain.0", "headers.0", "retry.0", "retry.1", "link.0", "linked.0", "eta.0", "priority.0")


class Bench(Harness):
    url_of_broker = ""
    watched = ""
    old = ""

    def environment(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(APPS), "BROKER_URL": self.url_of_broker, "WATCHED": self.watched, "OLD": self.old, "C_FORCE_ROOT": "1"}
        return super().environment() | own | {"DUMPS": str(self.folder)}

    @contextlib.contextmanager
    def worker(self, *, is_watched: bool, pool: str = "prefork") -> Iterator[None]:
        self.watched = "1" if is_watched else ""
        celery = [sys.executable, "-m", "celery", "-A", "request_app", "worker", "--loglevel", "INFO", "-n", "w@test", "-c", "1"]
        running = self.start("worker", [*celery, "--pool", pool], cwd=self.folder)
        try:
            yield
        finally:
            running.terminate()
            running.wait(30)

    def dumps(self, *, is_watched: bool, old: bool = False) -> dict[str, Any]:
        """What the tasks of a producer have read in the running worker, by label and attempt."""
        for path in self.folder.glob("*.json"):
            path.unlink()
        expected = [*DUMPS, *(() if is_watched else ("old.0",))]
        self.watched, self.old = "1" if is_watched else "", "1" if old else ""
        subprocess.run([sys.executable, APPS / "request_app.py"], env=self.environment(), check=True, timeout=60)
        wait_for(lambda: all((self.folder / f"{label}.json").exists() for label in expected), "every task has run", seconds=60)
        return {label: blanked(json.loads((self.folder / f"{label}.json").read_text())) for label in expected}


def blanked(value: Any, name: str = "") -> Any:
    """Without the ids and times of one message."""
    if isinstance(value, dict):
        return {key: blanked(item, key) for key, item in value.items()}
    if name in OWN or (isinstance(value, list) and "uuid" in str(value).lower()):
        return value[0]
    return value


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    gateway = Gateway()
    gateway.start()
    made = Bench(tmp_path, gateway.url)
    try:
        if request.param == "redis":
            made.url_of_broker = f"redis://127.0.0.1:{made.start_valkey()}/0"
        else:
            made.url_of_broker = f"amqp://guest:guest@127.0.0.1:{start_rabbitmq(made, vhosts=('bench',))}/bench"
        yield made
    finally:
        made.tear_down()
        gateway.stop()


def test_a_request_is_equal_with_and_without_z4j(bench: Bench) -> None:
    with bench.worker(is_watched=False):
        plain = bench.dumps(is_watched=False)
        assert plain["plain.0"]["headers"] == ["NoneType", "None"]
        assert "tenant" in plain["headers.0"]["headers"]
        assert bench.dumps(is_watched=True) == {label: plain[label] for label in DUMPS}
    with bench.worker(is_watched=True):
        assert bench.dumps(is_watched=True) == {label: plain[label] for label in DUMPS}
        assert bench.dumps(is_watched=False) == plain
        old = bench.dumps(is_watched=False, old=True)  # of an older version of z4j, in flight over the upgrade
        assert old == plain


def test_a_request_is_equal_where_the_task_runs_in_the_workers_process(bench: Bench) -> None:
    with bench.worker(is_watched=False, pool="threads"):
        plain = bench.dumps(is_watched=False)
    with bench.worker(is_watched=True, pool="threads"):
        assert bench.dumps(is_watched=True) == {label: plain[label] for label in DUMPS}
