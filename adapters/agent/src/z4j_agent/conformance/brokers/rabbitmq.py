# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ node of a test's own: only on the loopback, only in the harness's folder, with no files left.

Requires an installed RabbitMQ (Debian: `rabbitmq-server`), which need not run. The node is started without the packaged wrapper, which
would change the user, with its own `epmd` in the foreground: the one that Erlang starts listens on every interface and outlives the
test. It is ready when it responds to the AMQP header, which is seconds earlier than its own tools report.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from z4j_agent.conformance.harness import Harness, free_port, is_open, wait_for

SERVER = Path(os.environ.get("Z4J_RABBITMQ", "/usr/lib/rabbitmq/bin/rabbitmq-server"))
HEADER = b"AMQP\x00\x00\x09\x01"
START = b"\x01\x00\x00"
"""A method frame on channel 0: the server's answer to the header, connection.start."""
BOOT_S = 60.0
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"


def start_rabbitmq(harness: Harness, name: str = "rabbitmq", vhosts: Sequence[str] = ()) -> int:
    """Starts a node whose guest account has all permissions from this machine. Returns its AMQP port when it responds.

    `vhosts` are created in addition to "/". The node ends with the harness.
    Raises AssertionError if RabbitMQ is not installed or does not start; then `<name>.log` contains the reason.
    """
    assert SERVER.exists(), f"{SERVER} is missing: install rabbitmq-server, or set Z4J_RABBITMQ to the path of its start script"
    epmd = shutil.which("epmd")
    assert epmd is not None, "epmd is missing: it comes with Erlang"
    folder = harness.folder / name
    folder.mkdir()
    port, names_port, distribution_port = free_port(), free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.console.level = warning\n")
    if vhosts:
        (folder / "definitions.json").write_text(json.dumps(_definitions(["/", *vhosts])))
        with (folder / "rabbitmq.conf").open("a") as configuration:
            configuration.write(f"load_definitions = {folder / 'definitions.json'}\n")
    (folder / "enabled_plugins").write_text("[].\n")
    (folder / "home").mkdir()
    surroundings = {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names_port),
        "HOME": str(folder / "home"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_NODENAME": f"z4j{port}@localhost",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
    }
    with _in(surroundings):
        harness.start(f"{name}-epmd", [epmd, "-port", str(names_port), "-address", "127.0.0.1"])
        wait_for(lambda: is_open(names_port), "the Erlang port mapper listens")
        node = harness.start(name, [SERVER], cwd=folder)

    def answers() -> bool:
        assert node.poll() is None, harness.log(name)[-3000:]
        return _is_amqp(port)

    wait_for(answers, "RabbitMQ answers", seconds=BOOT_S)
    return port


def _definitions(vhosts: Sequence[str]) -> dict[str, Any]:
    """The definitions of the node; with definitions it creates no guest account automatically."""
    salt = b"z4j."
    secret = base64.b64encode(salt + hashlib.sha256(salt + b"guest").digest()).decode("ascii")
    guest = {"name": "guest", "password_hash": secret, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator"}
    everything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
    return {"users": [guest], "vhosts": [{"name": each} for each in vhosts], "permissions": [{**everything, "vhost": v} for v in vhosts]}


def _is_amqp(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
        probe.settimeout(2)
        probe.sendall(HEADER)
        return probe.recv(len(START)) == START
    return False


@contextlib.contextmanager
def _in(surroundings: dict[str, str]) -> Iterator[None]:
    """Changes this process's environment, on which `Harness.start` is based."""
    before = {name: os.environ.get(name) for name in surroundings}
    os.environ.update(surroundings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
