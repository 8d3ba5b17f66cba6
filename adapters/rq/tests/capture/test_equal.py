# SPDX-License-Identifier: Apache-2.0
"""What a task reads of its own job is the same with the adapter and without it, and so are the bytes of a `meta` nobody here can read."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness, wait_for

APPS = Path(__file__).resolve().parents[1] / "apps"
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "with meta": {"meta": {"tenant": "acme", "nested": {"z": [1, 2]}}, "description": "nightly", "job_timeout": 77},
    "tried again": {"retry": {"max": 1}, "meta": {"tenant": "acme"}},
}


class Shop(Harness):
    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.broker_url = ""
        self.port = self.start_valkey()
        self.broker_url = f"redis://127.0.0.1:{self.port}/0"
        self.redis = Redis(port=self.port)

    def environment(self) -> dict[str, str]:
        return super().environment() | {"BROKER_URL": self.broker_url, "PYTHONPATH": str(APPS)}

    def call(self, *command: str, is_watched: bool) -> str:
        environment = {name: value for name, value in self.environment().items() if is_watched or name != "Z4J_URL"}
        options = {"capture_output": True, "text": True, "timeout": 60}
        done: Any = subprocess.run([sys.executable, *command], env=environment, cwd=self.folder, check=False, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return str(done.stdout.strip())

    def send(self, *options: dict[str, Any], is_watched: bool) -> list[str]:
        """The IDs of tasks that were enqueued with these options by one process."""
        return self.call(str(APPS / "equal_app.py"), json.dumps(options), is_watched=is_watched).splitlines()[-len(options) :]

    def work(self, *, is_watched: bool) -> None:
        self.call("-m", "rq.cli", "worker", "-c", "equal_app", "--burst", "--url", self.broker_url, "work", is_watched=is_watched)

    def seen(self, task_id: str) -> Any:
        """What the task has returned."""
        result = Job.fetch(task_id, connection=self.redis).latest_result()
        assert result is not None
        return json.loads(result.return_value)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shop(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("equal"), gateway.url)
    try:
        yield made
    finally:
        made.redis.close()
        made.tear_down()


Pairing = tuple[bool, bool]
"""Whether the producer is watched, and the worker."""


@pytest.fixture(scope="module")
def tasks(shop: Shop) -> dict[Pairing, list[str]]:
    """A task with each of OPTIONS, in their order, for every pairing of a producer with a worker; all of them have ended."""
    made = {}
    for pairing in itertools.product((False, True), repeat=2):
        made[pairing] = shop.send(*OPTIONS.values(), is_watched=pairing[0])
        shop.work(is_watched=pairing[1])
    return made


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_task_reads_the_same_of_its_job(shop: Shop, gateway: Gateway, tasks: dict[Pairing, list[str]], kind: str) -> None:
    """Watched and unwatched producers and workers, in every pairing."""
    number = list(OPTIONS).index(kind)
    seen = {pairing: shop.seen(ids[number]) for pairing, ids in tasks.items()}
    wait_for(lambda: gateway.records(tasks[True, True][number]), "the last one was watched")
    assert gateway.records(tasks[False, False][number]) == []
    plain = seen.pop((False, False))
    for pairing, reads in seen.items():
        assert reads == plain, pairing


@pytest.mark.parametrize("is_watched", [True, False], ids=["watched worker", "unwatched worker"])
def test_the_mark_of_an_older_version_is_understood_and_hidden(shop: Shop, gateway: Gateway, is_watched: bool) -> None:
    job = Queue("work", connection=shop.redis).enqueue("equal_app.reveal", meta={"tenant": "acme"})
    job.meta["z4j"] = {"n": 3, "after": "", "told": 1}
    job.save_meta()
    shop.work(is_watched=is_watched)
    if is_watched:
        assert "z4j" not in json.dumps(shop.seen(job.id))
        assert wait_for(lambda: [r for r in gateway.records(job.id) if r.kind == "succeeded"], "it ends")[0].attempt == 3


def ended(gateway: Gateway, task_id: str, kind: str) -> list[Record]:
    return [record for record in gateway.records(task_id) if record.kind == kind]


def test_meta_that_a_worker_cannot_read_is_kept_byte_for_byte(shop: Shop, gateway: Gateway) -> None:
    raw = b"cnowhere\nNothing\n."
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(raw)
    for name, end, options in (("builtins.dict", "succeeded", {}), ("equal_app.fail", "failed", {"retry": {"max": 1}})):
        [task_id] = shop.send(options, is_watched=True)
        key = Job.key_for(task_id)
        assert zlib.decompress(shop.redis.hget(key, "data"))
        shop.redis.hset(key, "data", zlib.compress(pickle.dumps((name, None, (), {}))))
        shop.redis.hset(key, "meta", raw)
        shop.work(is_watched=True)
        assert wait_for(partial(ended, gateway, task_id, end), f"it has {end}")
        assert shop.redis.hget(key, "meta") == raw
