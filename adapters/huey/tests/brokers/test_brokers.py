# SPDX-License-Identifier: Apache-2.0
"""Two Huey objects of one name in two Redis databases; and what tells the brokers of Huey's storages apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import huey as engine
import redis
import two_app

import z4j_agent
import z4j_huey
from z4j_agent.conformance.brokers.two_brokers import BOTH, TwoBrokers, TwoBrokersContract
from z4j_agent.conformance.gateway import Gateway
from z4j_huey.broker_identity import fingerprint, identity_of


class TwoHueys(TwoBrokers):
    engine = "huey"
    queue = "work"

    def set_up(self) -> None:
        self.port = self.start_valkey()
        self.variables["TWO_PORT"] = str(self.port)

    def connect(self, gateway: Gateway) -> None:
        self.made = [two_app.make(which, self.port, str(self.folder)) for which in BOTH]
        for made, _ in self.made:
            z4j_huey.install(made, **self.options(gateway))

    def disconnect(self) -> None:
        for made, _ in self.made:
            z4j_huey.uninstall(made)
            made.storage.pool.disconnect()  # else the end of the process finds open sockets, and pytest fails a run in which all passed

    def send(self, which: int, value: str, *, delay_s: float = 0, task_id: str = "") -> str:
        _, note = self.made[which]
        return str((note.schedule((value,), delay=delay_s) if delay_s else note(value)).id)

    def start_worker_of(self, which: int) -> subprocess.Popen[bytes]:
        app = f"two_app.{('first', 'second')[which]}"
        command = [sys.executable, "-m", "huey.bin.huey_consumer", app, "-w", "1", "-d", "0.02", "-m", "0.05", "-n"]
        return self.start(f"worker-{which}", command, cwd=Path(__file__).resolve().parents[1] / "apps")

    def depth(self, which: int) -> int:
        with redis.Redis(port=self.port, db=which) as client:
            return int(client.llen("huey.redis.work"))  # type: ignore[arg-type]


class TestTwoHueys(TwoBrokersContract):
    harness_class = TwoHueys
    can = frozenset({"cancel_task", "peek_queue", "purge_queue"})


def test_a_broker_is_named_by_what_leads_to_it_and_never_by_a_credential(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.start()
    try:
        first: Any = engine.SqliteHuey("a", filename=str(tmp_path / "a.db"))
        z4j_huey.install(first, url=gateway.url, spool=tmp_path / "spool", environment="test")
        agent = z4j_agent.current()
        assert agent is not None
        named = [
            identity_of(engine.RedisHuey("a", url="redis://user:hunter2@cache.internal:6380/3")),
            identity_of(engine.RedisHuey("b", host="cache.internal", port=6380, db=3, password="hunter2")),
            identity_of(engine.RedisHuey("a", url="redis://cache.internal:6380/4")),
            identity_of(first),
            identity_of(engine.FileHuey("a", path=str(tmp_path / "files"))),
            identity_of(engine.MemoryHuey("a")),
            identity_of(engine.SqliteHuey("a", filename=":memory:")),
        ]
        assert named == [
            "redis://cache.internal:6380/3", "redis://cache.internal:6380/3", "redis://cache.internal:6380/4",
            f"file://{tmp_path}/a.db@{agent.host}", f"file://{tmp_path}/files@{agent.host}", "", "",
        ]  # fmt: skip
        (tmp_path / "linked.db").symlink_to(tmp_path / "a.db")
        same, other = engine.SqliteHuey("a", filename=str(tmp_path / "linked.db")), engine.SqliteHuey("a", filename=str(tmp_path / "b.db"))
        assert fingerprint(first) == fingerprint(same) != fingerprint(other), "one file is one broker, whatever leads to it"
    finally:
        z4j_agent.stop()
        gateway.stop()
