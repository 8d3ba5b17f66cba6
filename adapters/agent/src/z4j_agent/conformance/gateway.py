# SPDX-License-Identifier: Apache-2.0
"""A gateway that remembers everything it was told: real sockets, real frames, no server behind it."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from z4j_agent import wire
from z4j_agent.originals import open_original
from z4j_agent.settings import SealKey

T = TypeVar("T")

TOKEN = "z4a_" + "conformance" * 3 + "0123456789"
SEAL = base64.urlsafe_b64encode(bytes(range(32))).decode("ascii").rstrip("=")
KEY = SealKey.parse(SEAL)
QUIET = logging.getLogger("z4j_agent.conformance.gateway")
ENDS = frozenset({"succeeded", "failed", "cancelled", "expired", "rejected", "lost"})


def wait_for(probe: Callable[[], T], what: str, seconds: float = 20.0) -> T:
    """Asks until the answer is true; raises AssertionError naming `what`."""
    ends = time.monotonic() + seconds
    while True:
        if answer := probe():
            return answer
        assert time.monotonic() < ends, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Told:
    """One record about a task, its fields by name (see `wire.TASK_RECORDS`)."""

    kind: str
    engine: str
    task_id: str
    attempt: int
    at: int
    run: str
    name: str
    queue: str
    rest: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.rest[key]

    @property
    def meta(self) -> dict[str, Any]:
        """The optional facts, {} when none was given."""
        return self.rest.get("meta") or {}

    @classmethod
    def read(cls, record: list[Any]) -> Told:
        """Raises AssertionError when the record has not exactly the fields of its kind."""
        names = wire.TASK_RECORDS[record[0]]
        assert len(record) == 8 + len(names), f"a {record[0]} record has {8 + len(names)} items, not {len(record)}: {record}"
        kind, engine, task_id, attempt, at, run, name, queue, *rest = record
        return cls(kind, engine, task_id, attempt, at, run, name, queue, dict(zip(names, rest, strict=True)))


@dataclass
class Link:
    """One connected agent."""

    hello: dict[str, Any]
    socket: ServerConnection
    heartbeats: list[dict[str, Any]] = field(default_factory=list)
    discoveries: list[dict[str, Any]] = field(default_factory=list)
    said_goodbye: bool = False
    is_open: bool = True

    @property
    def is_worker(self) -> bool:
        return self.hello["role"] == "worker"


class Gateway:
    """Listens on one port for its whole life; `stop` and `start` are an outage."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"z4j+ws://{TOKEN}.{SEAL}@127.0.0.1:{self.port}"
        self.frames: list[str] = []
        """Every text frame as it came."""
        self.records: list[list[Any]] = []
        """Every record in order of arrival; the same one may come twice."""
        self.links: list[Link] = []
        self._server: Server | None = None
        self._lock = threading.Lock()

    # -- life ----------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._server = serve(
            self._serve, "127.0.0.1", self.port, max_size=wire.MAX_FRAME, compression=None, logger=QUIET, ping_interval=None
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends every connection without a word, as a machine that loses its power."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        for link in list(self.links):
            with contextlib.suppress(OSError):
                link.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not any(link.is_open for link in self.links), "the gateway's connections end")

    def _serve(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            connection.send(json.dumps({"type": "error", "code": wire.BAD_TOKEN, "message": "token unknown"}))
            return
        link: Link | None = None
        try:
            for frame in connection:
                if isinstance(frame, bytes):
                    seq, records = wire.unpack_batch(frame)
                    with self._lock:
                        self.records += [json.loads(record) for record in wire.split_records(records)]
                    connection.send(json.dumps({"type": "ack", "seq": seq}))
                else:
                    link = self._told(connection, link, frame)
        except ConnectionClosed:
            pass
        finally:
            if link is not None:
                link.is_open = False

    def _told(self, connection: ServerConnection, link: Link | None, frame: str) -> Link:
        said = json.loads(frame)
        self.frames.append(frame)
        if link is None:
            assert said["type"] == "hello", "hello is the first frame"
            link = Link(said, connection)
            welcome = {"type": "welcome", "protocol": wire.PROTOCOL, "server_version": "conformance", "session": uuid.uuid4().hex}
            connection.send(json.dumps({**welcome, "at": time.time_ns() // 1000, "heartbeat_s": 0.5, "window": wire.WINDOW}))
            self.links.append(link)
        elif said["type"] == "heartbeat":
            link.heartbeats.append(said)
        elif said["type"] == "discovery":
            link.discoveries.append(said)
        elif said["type"] == "goodbye":
            link.said_goodbye = True
        return link

    # -- what was told -------------------------------------------------------------------------------------------------
    def snapshot(self) -> list[list[Any]]:
        with self._lock:
            return list(self.records)

    def of(self, task_id: str, *kinds: str) -> list[Told]:
        """What was told of a task, each record once, in the order of its own clock."""
        seen: dict[str, Told] = {}
        for record in self.snapshot():
            if record[0] in wire.TASK_RECORDS and record[2] == task_id and (not kinds or record[0] in kinds):
                seen.setdefault(json.dumps(record), Told.read(record))
        return sorted(seen.values(), key=lambda told: told.at)

    def end(self, task_id: str, seconds: float = 20.0) -> Told:
        """Waits until the task's end was told, and returns the one that speaks: a success of any attempt, else the newest."""

        def find() -> Told | None:
            ends = self.of(task_id, *ENDS)
            return max(ends, key=lambda told: (told.kind == "succeeded", told.attempt, told.kind != "lost", told.at), default=None)

        return wait_for(find, f"the end of {task_id}; so far {[told.kind for told in self.of(task_id)]}", seconds)

    def one(self, task_id: str, kind: str, seconds: float = 20.0) -> Told:
        """Waits for a record of this kind and returns the first."""
        return wait_for(lambda: self.of(task_id, kind), f"{kind} of {task_id}; so far {[t.kind for t in self.of(task_id)]}", seconds)[0]

    def original(self, task_id: str) -> tuple[str, dict[str, Any] | None]:
        """The state of a task's original, and what is in it."""
        payload = self.one(task_id, "payload")
        if payload["original"] is None:
            return payload["original_state"], None
        key_id, text = payload["original"]
        return payload["original_state"], open_original(base64.b64decode(text), payload.engine, task_id, key_id=key_id, keys=(KEY,))

    def origins(self) -> dict[str, dict[str, Any]]:
        """Boot → who it is."""
        return {record[1]: record[3] for record in self.snapshot() if record[0] == "origin"}

    def everything(self) -> str:
        """All that ever reached this gateway, as text to search; originals are opened where they were kept in clear."""
        return "\n".join([*self.frames, *(json.dumps(record, ensure_ascii=False) for record in self._opened())])

    def _opened(self) -> Iterator[Any]:
        for record in self.snapshot():
            yield record
            if record[0] == "payload" and record[11] is not None and record[11][0] is None:
                yield open_original(base64.b64decode(record[11][1]), record[1], record[2], key_id=None, keys=())

    def worker(self) -> Link:
        """The connected worker."""
        return wait_for(lambda: next((link for link in self.links if link.is_worker and link.is_open), None), "a worker connects")

    def faults(self) -> int:
        """How often anything went wrong in the agents, as they counted themselves."""
        return sum(link.heartbeats[-1]["faults"] for link in self.links if link.heartbeats)

    # -- commands ------------------------------------------------------------------------------------------------------
    def ask(self, action: str, engine: str, *, command_id: str = "", link: Link | None = None, **params: Any) -> tuple[str, dict[str, Any]]:
        """Sends a command to the worker and waits for its answer: (status, facts)."""
        command_id = command_id or uuid.uuid4().hex
        before = len(self.answers(command_id))
        expires_at = time.time_ns() // 1000 + 60_000_000
        command = {"type": "command", "id": command_id, "action": action, "engine": engine, "expires_at": expires_at, "params": params}
        (link or self.worker()).socket.send(json.dumps(command))

        def answer() -> list[Any]:
            return [answer for answer in self.answers(command_id)[before:] if answer[3] != "accepted"]

        record = wait_for(answer, f"an answer to {action}")[0]
        return record[3], record[4]

    def answers(self, command_id: str) -> list[list[Any]]:
        return [record for record in self.snapshot() if record[0] == "command" and record[1] == command_id]

    def retry(self, engine: str, task_id: str) -> tuple[str, dict[str, Any], str]:
        """Asks for a task to run again, with the original the gateway holds: (status, facts, new id)."""
        payload, new_id = self.one(task_id, "payload"), str(uuid.uuid4())
        key_id, text = payload["original"] or (None, "")
        status, facts = self.ask(
            "retry_task", engine, task_id=task_id, name=payload.name, queue=payload.queue, new_id=new_id, original=text, key_id=key_id
        )
        return status, facts, new_id
