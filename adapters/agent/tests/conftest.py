# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json
import os
import pwd
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

import z4j_agent
from z4j_agent import wire
from z4j_agent.capture import guard
from z4j_agent.connection.tls import public_key_info
from z4j_agent.settings import Settings

TOKEN = "z4a_" + "t" * 43
SEAL = "A" * 43


def _free_coverage() -> None:
    """In a forked child: the measuring tool's lock may have been held by a thread that does not exist here, and never be released."""
    coverage = sys.modules.get("coverage")
    collector = getattr(coverage.Coverage.current(), "_collector", None) if coverage is not None else None
    if collector is not None:
        collector.data_lock = threading.Lock()


os.register_at_fork(after_in_child=_free_coverage)  # before the agent's own, which is measured


def wait_until(is_so: Callable[[], Any], seconds: float = 8.0) -> Any:
    """Polls until `is_so()` is true and returns it; fails after `seconds`, and Z4J_PATIENCE more where suites run together."""
    ends = time.monotonic() + seconds + float(os.environ.get("Z4J_PATIENCE", "0"))
    while not (result := is_so()):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)
    return result


class Gateway:
    """A real WebSocket server that speaks the server's side of the wire and remembers everything."""

    def __init__(self, **options: Any) -> None:
        self.hellos: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.batches: list[bytes] = []
        self.tokens: list[str] = []
        self.closes: list[int] = []
        self.sockets: list[ServerConnection] = []
        self.is_acking = True
        self.refuse: dict[str, Any] | None = None
        self.close_at_once: tuple[int, str] | None = None
        self.answer_hello: str | None = None
        self.heartbeat_s = 0.5
        self.server: Server = serve(self._talk, "127.0.0.1", 0, compression=None, **options)
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"z4j+ws://{TOKEN}.{SEAL}@127.0.0.1:{self.port}"

    @property
    def records(self) -> list[list[Any]]:
        return [json.loads(record) for batch in list(self.batches) for record in wire.split_records(batch)]

    def frames_of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in list(self.frames) if frame["type"] == kind]

    def send_frame(self, frame: dict[str, Any] | str) -> None:
        self.sockets[-1].send(frame if isinstance(frame, str) else json.dumps(frame))

    def command(self, command_id: str, action: str, engine: str = "fake", *, expires_in: float = 60, **params: Any) -> None:
        at = time.time_ns() // 1000 + int(expires_in * 1e6)
        self.send_frame({"type": "command", "id": command_id, "action": action, "engine": engine, "expires_at": at, "params": params})

    def answers(self, command_id: str) -> list[str]:
        return [record[3] for record in self.records if record[0] == "command" and record[1] == command_id]

    def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.tokens.append(socket.request.headers["Authorization"])
        if self.close_at_once is not None:
            socket.close(*self.close_at_once)
            return
        if self.refuse is not None:
            socket.recv()
            socket.send(json.dumps({"type": "error", **self.refuse}))
            socket.close(self.refuse["code"], self.refuse["message"])
            return
        with contextlib.suppress(ConnectionClosed):
            self.hellos.append(json.loads(socket.recv()))
            self.sockets.append(socket)
            welcome = {"type": "welcome", "protocol": 1, "server_version": "0", "session": "s", "at": 1, "window": 4}
            socket.send(self.answer_hello or json.dumps({**welcome, "heartbeat_s": self.heartbeat_s}))
            for frame in socket:
                if isinstance(frame, str):
                    self.frames.append(json.loads(frame))
                    continue
                seq, data = wire.unpack_batch(frame)
                if self.is_acking:
                    self.batches.append(data)
                    socket.send(json.dumps({"type": "ack", "seq": seq}))
        with contextlib.suppress(AttributeError):
            self.closes.append(socket.close_code or 0)

    def stop(self) -> None:
        self.server.shutdown()
        for socket in self.sockets:
            socket.close_timeout = 0.1
        self.thread.join(5)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.stop()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(url: str = f"z4j+ws://{TOKEN}.{SEAL}@127.0.0.1:9", environ: dict[str, str] | None = None, **options: Any) -> Settings:
        made = Settings.from_environment(environ or {}, url=url, spool=tmp_path / "spool", **options)
        assert made is not None
        return made

    return make


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("URL", "APP", "ENVIRONMENT", "RELEASE", "SPOOL", "ALLOW", "DENIED", "SEAL_KEYS", "SPOOL_LIMIT_MB", "REDACT"):
        monkeypatch.delenv(f"Z4J_{name}", raising=False)
    monkeypatch.setenv("Z4J_LOG", "logging")  # so that `caplog` sees what the agent logs
    monkeypatch.setattr(guard, "faults", guard.faults)
    guard.faults.by_operation.clear()
    guard.faults._logged_at.clear()
    guard.faults.total = 0
    yield
    z4j_agent.stop(0.5)


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without HOME and without an entry in passwd, as in a container that runs under any user ID. Returns the temporary folder."""

    def unknown(user_id: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user_id}")

    for name in ("HOME", "XDG_STATE_HOME", "Z4J_SPOOL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_until


@pytest.fixture
def segments(tmp_path: Path) -> Callable[[], list[bytes]]:
    """The contents of every segment below tmp_path, oldest first."""
    return lambda: [path.read_bytes() for path in sorted(tmp_path.rglob("*.seg"))]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, bytes]:
    """A self-signed certificate with its key, and the pin of that key."""
    import datetime
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "z4j")])
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(5)
    signed = made.not_valid_before(at).not_valid_after(at.replace(year=2036)).sign(key, hashes.SHA256())
    path = tmp_path / "server.pem"
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(serialization.Encoding.PEM, form, plain))
    info = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert public_key_info(signed.public_bytes(serialization.Encoding.DER)) == info
    return path, hashlib.sha256(info).digest()


@pytest.fixture
def tls_gateway(gateway: Any, certificate: tuple[Path, bytes]) -> Iterator[Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[0])
    made = type(gateway)(ssl=context)
    yield made
    made.stop()
