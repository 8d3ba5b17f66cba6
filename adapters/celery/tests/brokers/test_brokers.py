# SPDX-License-Identifier: Apache-2.0
"""Two Celery apps of one process with two brokers, both with Celery's default queue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import redis
import two_app
from celery import Celery

import z4j_agent
import z4j_celery
from z4j_agent.conformance.brokers.two_brokers import BOTH, KnownToBothContract, TwoBrokers
from z4j_agent.conformance.gateway import Gateway
from z4j_celery.apps import identity_of


class TwoApps(TwoBrokers):
    engine = "celery"
    queue = "celery"

    def set_up(self) -> None:
        self.port = self.start_valkey()
        self.variables["TWO_PORT"] = str(self.port)

    def connect(self, gateway: Gateway) -> None:
        self.made = [two_app.make(which, self.port, str(self.folder)) for which in BOTH]
        for app, _ in self.made:
            z4j_celery.install(app, **self.options(gateway))

    def disconnect(self) -> None:
        for app, _ in self.made:
            z4j_celery.uninstall(app)
            app.close()

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        _, note = self.made[which]
        return str(note.apply_async((value,), countdown=delay_s or None, task_id=task_id or None).id)

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        app = f"two_app:{('first', 'second')[which]}"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-P", "solo", "--without-gossip", "--without-mingle"]
        return self.start(f"worker-{which}", command, cwd=Path(__file__).resolve().parents[1] / "apps")

    def depth(self, which: int) -> int:
        with redis.Redis(port=self.port, db=which) as client:
            return int(client.llen(self.queue))  # type: ignore[arg-type]


class TestTwoApps(KnownToBothContract):
    harness_class = TwoApps
    can = frozenset({"prioritise_task", "peek_queue", "purge_queue"})

    def test_an_id_that_both_brokers_have_is_moved_in_the_one_that_is_named(self, gateway: Gateway, two: TwoApps) -> None:
        """Celery lets the application choose its ids."""
        names = self.brokers(gateway, two)
        for app, _ in two.made:
            app.conf.task_queues = None
            app.amqp.queues.add("other")
        for which in BOTH:
            two.send(which, "invoice", task_id="invoice-17")
        status, facts = self.ask(gateway, two, "move_task", task_id="invoice-17", queue="other")
        assert (status, facts.get("check")) == ("refused", "broker.unknown"), facts
        assert [two.depth(which) for which in BOTH] == [2, 2]
        status, facts = self.ask(gateway, two, "move_task", task_id="invoice-17", queue="other", broker=names[1])
        assert status == "done", facts
        assert [two.depth(which) for which in BOTH] == [2, 1]


def test_two_apps_with_one_broker_tell_its_queue_once(tmp_path: Path) -> None:
    gateway, holder = Gateway(), TwoApps(tmp_path, "")
    gateway.start()
    port = holder.start_valkey()
    apps = [Celery(f"app-{number}", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False) for number in BOTH]
    try:
        for app in apps:
            z4j_celery.install(app, url=gateway.url, spool=tmp_path / "spool", environment="test")
            app.send_task("anything")
        agent = z4j_agent.current()
        assert agent is not None
        assert [(queue.name, queue.depth) for queue in agent.adapters[0].list_queues()] == [("celery", 2)]
    finally:
        for app in apps:
            z4j_celery.uninstall(app)
            app.close()
        z4j_agent.stop()
        holder.tear_down()
        gateway.stop()


def test_a_broker_is_named_by_what_leads_to_it_and_never_by_a_credential(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.start()
    first = Celery("first", broker="redis://127.0.0.1:6379/0", set_as_current=False)
    try:
        z4j_celery.install(first, url=gateway.url, spool=tmp_path / "spool", environment="test")
        agent = z4j_agent.current()
        assert agent is not None

        def identity(url: str, **options: str) -> str:
            return identity_of(Celery("x", broker=url, broker_transport_options=options, set_as_current=False))

        assert [
            identity("redis://user:hunter2@cache.internal:6380/3"),
            identity("rediss://:hunter2@cache.internal:6380/3?ssl_cert_reqs=none"),
            identity("redis://cache.internal:6380/3", global_keyprefix="shop:"),
            identity("amqp://user:hunter2@rabbit.internal/shop"),
            identity("pyamqp://user:hunter2@rabbit.internal//"),
            identity("amqp://u:hunter2@b//;amqp://u:hunter2@a//"),
            identity("sentinel://:hunter2@a:26379/2;sentinel://:hunter2@b:26379/2", master_name="main"),
            identity("memory://"),
            identity_of(first),
        ] == [
            "redis://cache.internal:6380/3", "redis://cache.internal:6380/3", "redis://cache.internal:6380/3#shop:",
            "amqp://rabbit.internal:5672/shop", "amqp://rabbit.internal:5672/", "amqp://a:5672/;amqp://b:5672/",
            "redis+sentinel://main:1/2", "", f"redis://localhost:6379/0@{agent.host}",
        ]  # fmt: skip
    finally:
        z4j_celery.uninstall(first)
        z4j_agent.stop()
        gateway.stop()
