# SPDX-License-Identifier: Apache-2.0
"""What other engines do not have: two workers of one queue, and every kind of message Celery can send."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.capture.originals import open_original
from z4j_agent.conformance.gateway import SEAL_KEY, Gateway, Link, Record
from z4j_agent.conformance.harness import Harness, valkey_command, wait_for
from z4j_agent.settings import SealKey

APPS = Path(__file__).resolve().parents[1] / "apps"
SECRET = "correct-horse-battery-7f3a91"
ENDS = ("succeeded", "failed", "cancelled", "expired", "rejected", "lost")


class Shop(Harness):
    broker_port = 0

    def environment(self) -> dict[str, str]:
        own = {"SECRET": SECRET, "UNLOCK": str(self.folder / "unlock"), "PYTHONPATH": str(APPS), "C_FORCE_ROOT": "1"}
        return super().environment() | own | {"BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0"}

    def start_worker(self, name: str = "w1", concurrency: int = 2) -> subprocess.Popen[bytes]:
        celery = [sys.executable, "-m", "celery", "-A", "own_app", "worker", "--loglevel", "INFO", "-n", f"{name}@test"]
        return self.start(name, [*celery, "--concurrency", str(concurrency)], cwd=self.folder)

    def has_broker(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.broker_port)) == 0

    def run(self, code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], env=self.environment(), capture_output=True, text=True, timeout=60, check=True)
        return done.stdout


@dataclass
class Scene:
    gateway: Gateway
    shop: Shop
    worker: subprocess.Popen[bytes]
    sent: dict[str, str]

    def records_of(self, task_id: str, *kinds: str) -> list[Record]:
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def end(self, task_id: str) -> Record:
        return wait_for(lambda: self.records_of(task_id, *ENDS), f"the end of {task_id}: {[r.kind for r in self.records_of(task_id)]}")[-1]

    def one(self, task_id: str, kind: str) -> Record:
        return wait_for(lambda: self.records_of(task_id, kind), f"{kind} of {task_id}")[0]

    def link(self, name: str = "w1@test") -> Link:
        return wait_for(lambda: [link for link in self.gateway.open_links() if link.hello.get("worker") == name], f"{name} connects")[0]

    def ask(self, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        command = self.gateway.ask(self.link(), action, "celery", params)
        return wait_for(lambda: [answer for answer in self.gateway.answers(command) if answer[0] != "accepted"], f"an answer to {action}")[
            0
        ]

    def retry(self, name: str) -> tuple[dict[str, Any], str]:
        payload, new_id = self.one(self.sent[name], "payload"), str(uuid.uuid4())
        key_id, blob = payload.rest["original"]
        status, facts = self.ask(
            "retry_task", task_id=payload.task_id, name=payload.name, queue=payload.queue, new_id=new_id, original=blob, key_id=key_id
        )
        assert status == "done", facts
        return facts, new_id


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two workers on one queue, and one of each message."""
    gateway = Gateway()
    gateway.start()
    shop = Shop(tmp_path_factory.mktemp("shop"), gateway.url)
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            shop.broker_port = int(probe.getsockname()[1])
        shop.start("broker", valkey_command(shop.broker_port, shop.folder))
        wait_for(shop.has_broker, "the broker answers")
        made = Scene(gateway, shop, shop.start_worker(), {})
        shop.start_worker("w2", 1)
        wait_for(lambda: all(" ready." in shop.log(name) for name in ("w1", "w2")), "the workers are ready", seconds=40)
        made.link("w2@test")
        made.sent = json.loads(shop.run("import json, own_app; print(json.dumps(own_app.send_all()))").splitlines()[-1])
        yield made
    finally:
        shop.tear_down()
        gateway.stop()


def test_cancel_reaches_the_worker_that_was_not_asked(scene: Scene) -> None:
    task_id = scene.sent["delayed"]
    scene.one(task_id, "received")
    assert scene.ask("cancel_task", task_id=task_id)[0] == "done"
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"]) == ("cancelled", "revoked")
    assert not scene.records_of(task_id, "started")


def test_a_requeued_message_is_not_an_end(scene: Scene) -> None:
    task_id = scene.sent["requeued"]
    end = scene.end(task_id)
    retried = scene.one(task_id, "retried")
    assert (retried.rest["reason"], retried.rest["error"], retried.attempt) == ("requeued", "not yet", 0)
    assert (end.kind, end.attempt, end.meta) == ("succeeded", 0, {"redelivered": True})


def test_a_pickled_message_is_kept_sealed_and_sent_again_as_it_was(scene: Scene) -> None:
    task_id = scene.sent["pickled"]
    assert scene.end(task_id).rest["result"] == '"set"'
    assert scene.one(task_id, "payload").rest["original_state"] == "sealed"
    _, again = scene.retry("pickled")
    assert scene.end(again).rest["result"] == '"set"'


def test_protocol_1_is_shown_and_sent_anew(scene: Scene) -> None:
    assert scene.end(scene.sent["protocol 1"]).rest["result"] == "7"
    assert scene.one(scene.sent["protocol 1"], "payload").rest["args"] == "[3, 4]"
    _, again = scene.retry("protocol 1")
    assert scene.end(again).rest["result"] == "7"


def test_a_member_of_a_chord_is_not_counted_twice(scene: Scene) -> None:
    assert scene.end(scene.sent["chord member"]).kind == "failed"
    (scene.shop.folder / "unlock").touch()
    facts, again = scene.retry("chord member")
    assert "chord" in facts["note"]
    assert scene.end(again).rest["result"] == "1"
    assert scene.one(again, "enqueued").meta["retry_of"] == scene.sent["chord member"]
    assert not scene.records_of(scene.sent["chord"], "started")


def test_what_follows_in_a_chain_is_sealed_and_follows_again(scene: Scene) -> None:
    task_id = scene.sent["chain"]
    payload = scene.one(task_id, "payload")
    assert (payload.rest["args"], payload.rest["masked"], payload.rest["original_state"]) == ("[1, 1]", False, "sealed")
    scene.end(task_id)
    _, again = scene.retry("chain")
    follows = wait_for(lambda: [r for r in scene.records_of("", "enqueued") if r.meta.get("parent_id") == again], "the chain goes on")[0]
    assert follows.name == "own_app.login"
    assert "code" not in follows.meta, "nobody's code sent it"
    assert scene.end(follows.task_id).rest["result"] == "true"
    assert SECRET not in json.dumps(scene.gateway.decoded())


def test_a_message_celery_cannot_read_is_rejected(scene: Scene) -> None:
    rejected = wait_for(lambda: [r for r in scene.records_of("", "rejected") if r.rest["reason"] == "malformed"], "the malformed message")
    assert rejected[0].task_id.startswith("malformed-")


def test_an_eager_task_runs_in_its_caller(scene: Scene) -> None:
    end = scene.end(scene.sent["eager"])
    assert (end.kind, end.rest["result"], end.meta["eager"]) == ("succeeded", "42", True)
    assert not scene.records_of(end.task_id, "enqueued", "received")
    assert scene.one(end.task_id, "payload").rest["args"] == "[20, 22]"


def test_json_originals_hold_nothing_but_the_body(scene: Scene) -> None:
    task_id = scene.shop.run("import own_app; print(own_app.add.delay(5, 6).id)").split()[-1]
    _, blob = scene.one(task_id, "payload").rest["original"]
    opened = open_original(base64.b64decode(blob), "celery", task_id, "test", key_id=None, keys=(SealKey.parse(SEAL_KEY),))
    assert opened.data.keys() <= {"body", "properties"}, "the body, and how it is delivered and answered"
    assert opened.binding is not None
    assert opened.binding.name == "own_app.add"


def test_no_receiver_had_a_fault(scene: Scene) -> None:
    beats = scene.link().heartbeats
    seen = len(beats)
    wait_for(lambda: len(beats) > seen + 1, "the next heartbeats")
    assert beats[-1]["faults"] == 0, scene.shop.log("w1")[-3000:]
    assert not [record for record in scene.gateway.decoded() if record[0] == "fault"]


def test_a_cold_shutdown_tells_what_is_gone(scene: Scene) -> None:
    task_id = scene.shop.run("import own_app; print(own_app.wait.delay(60).id)").split()[-1]
    started = scene.one(task_id, "started")
    is_first = started.run.partition(".")[0] == scene.link().hello["boot"]
    worker = scene.worker if is_first else scene.shop.processes[2]
    worker.send_signal(signal.SIGQUIT)
    end = scene.end(task_id)
    assert (end.kind, end.rest["reason"], end.run) == ("lost", "shutdown", started.run)
    assert scene.one(task_id, "retried").rest["reason"] == "shutdown"
