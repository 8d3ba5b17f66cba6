# SPDX-License-Identifier: Apache-2.0
"""The same nine steps in every configuration Celery is run in: succeed, fail with traceback, retry, eta, cancel what waits, stop what
runs, send the original again, how much waits, and what Celery knows.

All tasks of a configuration are sent at once and looked at one by one.
"""

from __future__ import annotations

import datetime
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from z4j_agent.conformance.assertions import ENDS, final_answer
from z4j_agent.conformance.brokers.rabbitmq import start_rabbitmq
from z4j_agent.conformance.gateway import Gateway, Record
from z4j_agent.conformance.harness import Harness, wait_for

APPS = Path(__file__).resolve().parents[1] / "apps"
PARKED = 3
VHOSTS = ("first", "second", "quorum")
"""Of RabbitMQ: two for the two apps, and one for quorum queues, which other configurations declare as ordinary ones."""


@dataclass(frozen=True)
class Configuration:
    name: str
    arguments: tuple[str, ...] = ()
    is_rabbit: bool = False
    apps: tuple[str, ...] = ("one",)
    pool: str = "prefork"
    known: str = "succeeded"
    """What `lookup_task` says of a task that succeeded."""


QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
CONFIGURATIONS = [
    Configuration("no backend", known="unknown"),
    Configuration("own backend"),
    Configuration("signed"),
    Configuration("pickle"),
    Configuration("protocol 1"),
    Configuration("late"),
    Configuration("namespaced"),
    Configuration("quiet", QUIET),
    Configuration("green", pool="gevent"),
    Configuration("threads", pool="threads"),
    Configuration("quorum", is_rabbit=True),
    Configuration("two apps", is_rabbit=True, apps=("one", "other")),
]


class StepsHarness(Harness):
    """A broker, one worker for each app, and a producer that has all apps."""

    configuration: Configuration
    brokers: dict[str, str]

    def environment(self) -> dict[str, str]:
        own = {
            "STEPS": self.configuration.name, "PYTHONPATH": str(APPS), "C_FORCE_ROOT": "1", "RESULTS": str(self.folder / "results"),
            "KEYS": str(self.folder), "Z4J_SPOOL": str(self.spool), **self.brokers,
        }  # fmt: skip
        return super().environment() | own

    def start_app(self, app: str) -> None:
        variable = "app" if app == "one" else "other"
        command = [sys.executable, "-m", "celery", "-A", f"steps_app:{variable}", "worker", "--loglevel", "INFO", "-Q", "work"]
        options = ["--pool", self.configuration.pool, "--concurrency", "3", "-n", f"{app}@test", *self.configuration.arguments]
        self.start(app, [*command, *options], cwd=self.folder)

    def ask(self, *line: Any) -> str:
        return self.ask_producer([sys.executable, APPS / "steps_app.py"], line)

    def lookup(self, task_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.ask("lookup", task_id))
        return answer


@dataclass
class Steps:
    """One app of one configuration, with everything sent."""

    gateway: Gateway
    harness: StepsHarness
    app: str
    sent: dict[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> Configuration:
        return self.harness.configuration

    def send(self, task: str, *args: Any, **options: Any) -> str:
        return self.harness.ask("send", self.app, f"{task}", args, {key: value for key, value in options.items() if value is not None})

    def records_of(self, step: str, *kinds: str) -> list[Record]:
        task_id = self.sent.get(step, step)
        return [record for record in self.gateway.records(task_id) if not kinds or record.kind in kinds]

    def end(self, step: str) -> Record:
        return wait_for(lambda: self.records_of(step, *ENDS), f"{step} ends; {self.app}: {self.harness.log(self.app)[-2000:]}")[-1]

    def one(self, step: str, kind: str) -> Record:
        return wait_for(lambda: self.records_of(step, kind), f"{kind} of {step}")[0]

    def link(self) -> Any:
        name = f"{self.app}@test"
        return next(link for link in self.gateway.open_links() if link.hello["worker"] == name)

    def command(self, action: str, **params: Any) -> tuple[str, dict[str, Any]]:
        return final_answer(self.gateway, self.gateway.ask(self.link(), action, "celery", params))


def send_all(steps: Steps) -> None:
    """Before the worker is there, so that its first look at the queues finds what waits in the one it does not consume."""
    send, sent = steps.send, steps.sent
    for number in range(PARKED):
        send("succeed", number, queue="parked")
    sent["parked"] = send("succeed", "parked", queue="parked")
    sent["running"] = send("wait", 60)
    sent["cancelled"] = send("succeed", "never", in_s=15)
    sent["eta"] = send("succeed", "later", in_s=3)
    sent["succeeded"] = send("succeed", "a word")
    sent["failed"] = send("fail", "no such door")
    sent["retried"] = send("retry")


def make_keys(folder: Path) -> None:
    """A key and its certificate, signed by itself, for Celery's `auth` serializer."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "steps")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2)).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Ports of one Redis and one RabbitMQ for all configurations, the latter started when the first one needs it."""
    harness = Harness(tmp_path_factory.mktemp("brokers"), "")
    ports = {"redis": harness.start_valkey()}
    try:
        ports["rabbitmq"] = start_rabbitmq(harness, vhosts=VHOSTS)
        yield ports
    finally:
        harness.tear_down()


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=lambda each: each.name.replace(" ", "-"))
def apps(request: pytest.FixtureRequest, brokers: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Steps]]:
    configuration: Configuration = request.param
    gateway = Gateway()
    gateway.start()
    harness = StepsHarness(tmp_path_factory.mktemp("place"), gateway.url)
    harness.configuration = configuration
    redis = f"redis://127.0.0.1:{brokers['redis']}/{CONFIGURATIONS.index(configuration) % 15}"
    if configuration.is_rabbit:
        vhosts = [f"amqp://guest:guest@127.0.0.1:{brokers['rabbitmq']}/{each}" for each in VHOSTS]
        harness.brokers = {"FIRST_URL": vhosts[2 if configuration.name == "quorum" else 0], "OTHER_URL": vhosts[1], "BACKEND_URL": redis}
    else:
        harness.brokers = {"FIRST_URL": redis}
    (harness.folder / "results").mkdir()
    make_keys(harness.folder)
    try:
        steps = [Steps(gateway, harness, app) for app in configuration.apps]
        for each in steps:
            send_all(each)
        for each in steps:
            harness.start_app(each.app)
        names = {f"{app}@test" for app in configuration.apps}
        wait_for(
            lambda: names <= {link.hello["worker"] for link in gateway.open_links()},
            f"the workers connect: {harness.log('one')[-3000:]}", seconds=40,
        )  # fmt: skip
        yield steps
    finally:
        harness.tear_down()
        gateway.stop()


def test_1_succeed(apps: list[Steps]) -> None:
    for steps in apps:
        end = steps.end("succeeded")
        assert (end.kind, end.rest["result"], end.name, end.queue) == ("succeeded", '"a word"', f"{steps.app}.succeed", "work")
        for kind in ("enqueued", "received", "started", "payload"):
            steps.one("succeeded", kind)
        assert end.boot == steps.link().hello["boot"], "its own worker ran it"
        assert "a word" in max(steps.records_of("succeeded", "payload"), key=lambda record: record.rest["rank"]).rest["args"]
        senders = {record.run for record in steps.records_of("succeeded", "enqueued")}
        assert len(steps.records_of("succeeded", "enqueued")) == len(senders) == 1, "told once, by the app that sent it"


def test_2_fail_with_its_traceback(apps: list[Steps]) -> None:
    for steps in apps:
        end = steps.end("failed")
        assert (end.kind, end.rest["error_type"], end.rest["error"]) == ("failed", "ValueError", "no such door")
        assert end.rest["traceback"].rstrip().endswith("ValueError: no such door")


def test_3_retry(apps: list[Steps]) -> None:
    for steps in apps:
        end = steps.end("retried")
        assert (end.kind, end.attempt, end.rest["result"]) == ("succeeded", 1, '"second"')
        steps.one("retried", "retried")  # another child wrote it, whose records may come later
        retried = steps.records_of("retried", "retried")
        assert [(record.attempt, record.rest["error_type"]) for record in retried] == [(0, "ConnectionError")]


def test_4_eta(apps: list[Steps]) -> None:
    for steps in apps:
        end = steps.end("eta")
        enqueued = steps.one("eta", "enqueued")
        assert end.kind == "succeeded"
        assert enqueued.queue == "work"
        assert 0 < enqueued.rest["eta"] - enqueued.at < 4_000_000
        assert steps.records_of("eta", "started")[0].at >= enqueued.rest["eta"] - 100_000


def test_5_cancel_what_waits(apps: list[Steps]) -> None:
    for steps in apps:
        assert steps.command("cancel_task", task_id=steps.sent["cancelled"])[0] == "done"
    for steps in apps:  # only then: Celery drops a task when its time has come, and that of the other app comes at the same time
        end = steps.end("cancelled")
        assert (end.kind, end.rest["reason"]) == ("cancelled", "revoked")
        assert not steps.records_of("cancelled", "started")


def test_6_stop_what_runs(apps: list[Steps]) -> None:
    for steps in apps:
        started = steps.one("running", "started")
        offered = {each[1] for each in steps.link().hello["capabilities"]}
        status, _ = steps.command("terminate_task", task_id=steps.sent["running"])
        assert (status == "done") == ("terminate_task" in offered) == (steps.configuration.pool != "threads")
        if status == "done":
            end = steps.end("running")
            assert (end.kind, end.rest["reason"], end.run) == ("cancelled", "stopped", started.run)


def test_7_send_the_original_again(apps: list[Steps]) -> None:
    for steps in apps:
        steps.end("failed")
        payload = max(steps.records_of("failed", "payload"), key=lambda record: record.rest["rank"])
        key_id, original = payload.rest["original"]
        new_id = str(uuid.uuid4())
        status, facts = steps.command(
            "retry_task", task_id=payload.task_id, name=payload.name, queue=payload.queue, new_id=new_id, original=original, key_id=key_id
        )
        assert (status, facts.get("task_id")) == ("done", new_id), facts
        end = steps.end(new_id)
        assert (end.kind, end.rest["error"], end.boot) == ("failed", "no such door", steps.link().hello["boot"])


def test_8_how_much_waits(apps: list[Steps]) -> None:
    for steps in apps:
        discovery = wait_for(lambda: steps.link().discoveries, "a discovery")[0]  # noqa: B023 -- asked at once
        depths = {name: depth for name, depth, *_ in discovery["queues"]}
        assert depths["parked"] == PARKED + 1
        assert depths["work"] >= 0


def test_9_what_celery_knows(apps: list[Steps]) -> None:
    for steps in apps:
        harness = steps.harness
        for step in ("succeeded", "failed"):
            steps.end(step)
            known = harness.lookup(steps.sent[step])
            assert known["state"] == ("unknown" if steps.configuration.known == "unknown" else step), known
        waiting = harness.lookup(steps.sent["parked"])["state"]
        assert waiting == ("unknown" if steps.configuration.is_rabbit else "queued")


def test_no_hook_had_a_fault(apps: list[Steps]) -> None:
    for steps in apps:
        beats = steps.link().heartbeats
        seen = len(beats)
        wait_for(lambda: len(beats) > seen, "a heartbeat")  # noqa: B023 -- asked at once
        assert beats[-1]["faults"] == 0, steps.harness.log(steps.app)[-3000:]
        assert not [record for record in steps.gateway.decoded() if record[0] == "fault"]
