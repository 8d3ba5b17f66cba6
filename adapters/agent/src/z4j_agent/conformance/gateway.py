# SPDX-License-Identifier: Apache-2.0
"""A small real gateway: it implements the whole protocol over a real WebSocket and stores the frames of agents. It checks nothing; the
contract does that, so that a broken agent is detected and not refused.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from z4j_agent import wire
from z4j_agent.conformance.harness import free_port

TOKEN = "z4a_" + "c" * 43
SEAL_KEY = "Y29uZm9ybWFuY2UtY29uZm9ybWFuY2UtY29uZm9ybWE"  # 32 bytes, for tests only


@dataclass(frozen=True, slots=True)
class Record:
    """One task record by its names, see `wire.TASK_RECORDS`."""

    kind: str
    engine: str
    task_id: str
    attempt: int
    at: int
    run: str
    name: str
    queue: str
    rest: dict[str, Any]

    @classmethod
    def of(cls, fields: list[Any]) -> Record:
        """Makes one of a decoded record. Raises ValueError if it has another length than its kind."""
        kind, engine, task_id, attempt, at, run, name, queue, *rest = fields
        if wire.TASK_RECORDS[kind][-1] == "usage" and len(rest) == len(wire.TASK_RECORDS[kind]) - 1:
            rest.append(None)  # not measured
        return cls(kind, engine, task_id, attempt, at, run, name, queue, dict(zip(wire.TASK_RECORDS[kind], rest, strict=True)))

    @property
    def meta(self) -> dict[str, Any]:
        return self.rest.get("meta") or {}

    @property
    def boot(self) -> str:
        return self.run.rpartition(".")[0]

    @property
    def pid(self) -> int:
        return int(self.run.rpartition(".")[2])


@dataclass(slots=True)
class Link:
    """One connected agent and its text frames."""

    socket: ServerConnection
    hello: dict[str, Any]
    discoveries: list[dict[str, Any]] = field(default_factory=list)
    heartbeats: list[dict[str, Any]] = field(default_factory=list)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    goodbye: str | None = None
    is_open: bool = True


class Gateway:
    """Listens on a port of its own; `stop` and `start` again keep the port, as a restarted server would."""

    def __init__(self) -> None:
        self.port = free_port()
        self.links: list[Link] = []
        self.raw: list[bytes] = []
        """Every record of every committed batch, as bytes, in the order of arrival; repeated ones too."""
        self.frames: list[str] = []
        self.refused = 0
        self.is_acking = True
        self.is_refusing = False
        self._server: Server | None = None
        self._decoded: list[list[Any]] = []
        self._decoding = threading.Lock()

    @property
    def url(self) -> str:
        """The connection string for `Z4J_URL`."""
        return f"z4j+ws://{TOKEN}.{SEAL_KEY}@127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = serve(self._serve, "127.0.0.1", self.port, compression=None, max_size=wire.MAX_FRAME)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stops without closing connections, like a killed server."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
        for link in self.open_links():
            link.socket.socket.close()
            link.is_open = False

    def open_links(self) -> list[Link]:
        return [link for link in self.links if link.is_open]

    # -- what agents reported ------------------------------------------------------------------------------------------
    def decoded(self) -> list[list[Any]]:
        """The records of `raw`, each parsed once: a test that waits for one looks at all of them many times in a second."""
        with self._decoding:
            self._decoded += [json.loads(entry) for entry in self.raw[len(self._decoded) :]]
            return list(self._decoded)

    def clear(self) -> None:
        """Forgets all records."""
        with self._decoding:
            self.raw.clear()
            self._decoded.clear()

    def records(self, task_id: str = "") -> list[Record]:
        """Task records in order of arrival, of one task or of all."""
        return [Record.of(fields) for fields in self.decoded() if fields[0] in wire.TASK_RECORDS and task_id in ("", fields[2])]

    def answers(self, command_id: str) -> list[tuple[str, dict[str, Any]]]:
        """(status, facts) of a command, in order."""
        return [(fields[3], fields[4]) for fields in self.decoded() if fields[0] == "command" and fields[1] == command_id]

    def fires(self, schedule: str = "") -> list[dict[str, Any]]:
        """The reported fires, of one schedule or of all, in order: their fields with `run` and `at`."""
        fires = [{**fields[3], "run": fields[1], "at": fields[2]} for fields in self.decoded() if fields[0] == "fired"]
        return [fire for fire in fires if schedule in ("", fire["schedule"])]

    # -- commands-----------------------------------------------------------------------------------------
    def ask(self, link: Link, action: str, engine: str, params: dict[str, Any], *, id: str = "", expires_in_s: float = 60) -> str:
        """Sends a command and returns its ID; its result arrives in `answers`."""
        command_id = id or secrets.token_hex(8)
        expires_at = int((time.time() + expires_in_s) * 1_000_000)
        proof = self.queue_proof(engine, str(params.get("move_to") or params.get("queue") or ""))
        params = params | ({"queue_proof": proof} if proof and "queue_proof" not in params else {})
        if "from_queue" in params and (proof := self.queue_proof(engine, str(params["from_queue"]))):
            params = {"from_queue_proof": proof} | params
        frame = {"type": "command", "id": command_id, "action": action, "engine": engine, "expires_at": expires_at, "params": params}
        link.socket.send(json.dumps(frame))
        return command_id

    def queue_proof(self, engine: str, queue: str) -> str:
        """The proof of a queue from an agent that uses it, as the server passes it to other agents."""
        discoveries = [each for link in list(self.links) for each in list(link.discoveries) if each["engine"] == engine]
        return next((str(item[6]) for each in discoveries for item in each["queues"] if item[0] == queue and item[6]), "")

    # -- the protocol --------------------------------------------------------------------------------------------------
    def _serve(self, connection: ServerConnection) -> None:
        link: Link | None = None
        try:
            link = self._greet(connection)
            if link is not None:
                self._listen(link)
        except (ConnectionClosed, OSError):
            pass  # several tests end a connection without a goodbye; `is_open` shows that
        finally:
            if link is not None:
                link.is_open = False

    def _greet(self, connection: ServerConnection) -> Link | None:
        assert connection.request is not None
        hello = json.loads(connection.recv(timeout=10))
        self.frames.append(json.dumps(hello))
        if self.is_refusing or connection.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refused += 1
            connection.send(json.dumps({"type": "error", "code": wire.BAD_TOKEN, "message": wire.CLOSE[wire.BAD_TOKEN]}))
            connection.close(wire.BAD_TOKEN)
            return None
        link = Link(connection, hello)
        welcome = {
            "type": "welcome", "protocol": wire.PROTOCOL, "server_version": "conformance", "session": secrets.token_hex(4),
            "at": time.time_ns() // 1000, "heartbeat_s": 0.5, "window": wire.WINDOW,
        }  # fmt: skip
        connection.send(json.dumps(welcome))
        self.links.append(link)
        return link

    def _listen(self, link: Link) -> None:
        for frame in link.socket:
            if isinstance(frame, bytes):
                if self.is_acking:
                    seq, data = wire.unpack_batch(frame)
                    self.raw += wire.split_records(data)
                    link.socket.send(json.dumps({"type": "ack", "seq": seq}))
                continue
            self.frames.append(frame)
            message = json.loads(frame)
            match message["type"]:
                case "discovery":
                    link.discoveries.append(message)
                case "heartbeat":
                    link.heartbeats.append(message)
                case "schedules":
                    link.schedules.append(message)
                case "goodbye":
                    link.goodbye = str(message["reason"])
