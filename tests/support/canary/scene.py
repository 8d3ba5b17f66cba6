# SPDX-License-Identifier: AGPL-3.0-or-later
"""One server with applications of all engines, and everything that leaves the product on its way: answers, files, logs, processes."""

from __future__ import annotations

import html
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import httpx2

from tests.support.browserless import Person
from tests.support.canary import shapes
from tests.support.canary.search import Search
from tests.support.stack import ROOT, Child, Stack, wait_for

SIDE = "tests.support.canary"
NAMES = {
    "celery": "celery_login", "rq": f"{SIDE}.rq_side.rq_login", "huey": f"{SIDE}.huey_side.huey_login", "arq": "arq_login",
    "dramatiq": "dramatiq_login", "taskiq": "taskiq_login",
}  # fmt: skip
WORKERS: dict[str, tuple[str, ...]] = {
    "celery": ("-m", "celery", "-A", f"{SIDE}.celery_side", "worker", "-B", "-c", "1", "-Q", "canary", "--loglevel", "CRITICAL"),
    "rq": ("-m", f"{SIDE}.rq_side", "worker"),
    "huey": ("-m", "huey.bin.huey_consumer", f"{SIDE}.huey_side.huey", "-w", "1", "-q"),
    "arq": ("-m", "arq", f"{SIDE}.arq_side.WorkerSettings"),
    "dramatiq": ("-m", "dramatiq", f"{SIDE}.dramatiq_side", "-p", "1", "-t", "1"),
    "taskiq": ("-m", "taskiq", "worker", f"{SIDE}.taskiq_side:broker", "--workers", "1", "--log-level", "CRITICAL"),
}
SCHEDULERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rq_scheduler": ("rq", ("-m", f"{SIDE}.rq_side", "scheduler")),
    "taskiq_scheduler": ("taskiq", ("-m", "taskiq", "scheduler", f"{SIDE}.taskiq_side:scheduler", "--log-level", "CRITICAL")),
    "apscheduler": ("apscheduler", ("-m", f"{SIDE}.apscheduler_side")),
}
NATIVE = ("celery_beat", "rq_scheduler", "taskiq_scheduler", "apscheduler")
"""Schedulers whose entries in the application carry arguments."""
ALL_NATIVE = (*NATIVE, "arq_cron")
_TOKEN = re.compile(r"[\w+/=.-]{6,}")
ENDED = ("done", "failed", "refused", "unsupported", "expired", "unknown")


@dataclass
class Scene:
    shop: Stack
    marks: shapes.Marks = field(default_factory=shapes.Marks)
    exits: dict[str, list[bytes]] = field(default_factory=dict)
    """What was seen of the product from outside, by the name of the exit."""
    doors: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)
    """door -> digest of what was sent through it, as `host.digest` makes it of what arrives."""
    ordinary: list[Any] = field(default_factory=list)

    # -- what is sent ------------------------------------------------------------------------------------------------------
    def arguments(self, door: str, long: tuple[int, ...] = shapes.LONG) -> tuple[list[Any], dict[str, Any]]:
        """For the task `login`; `long` are the sizes of its long strings."""
        args, kwargs = shapes.arguments(self.marks, door, long)
        self.expect(door, args[1], args[2], kwargs["bundle"])
        return args, kwargs

    def expect(self, door: str, password: Any, link: Any, bundle: Any) -> None:
        import hashlib

        text = json.dumps([password, link, bundle], sort_keys=True).encode()
        self.digests[door] = hashlib.sha256(text).hexdigest()[:16]
        self.doors.add(door)

    def reason(self, door: str) -> str:
        self.doors.add(door)
        return shapes.reason(self.marks, door)

    def write_known(self) -> dict[str, Any]:
        """The applications' own secrets, for the applications."""
        marks, known = self.marks, dict[str, Any]()
        pairs = {engine: self.arguments(f"produced by {engine}") for engine in NAMES}
        known["produced"] = {engine: {"args": args, "kwargs": kwargs} for engine, (args, kwargs) in pairs.items()}
        native = {scheduler: self.arguments(f"in the code of {scheduler}") for scheduler in NATIVE}
        known["native"] = {scheduler: {"args": args, "kwargs": kwargs} for scheduler, (args, kwargs) in native.items()}
        known["headers"] = {"authorization": f"Bearer {marks.word()}{marks.word()}", "x-tenant": "shop"}
        known["signature"] = {
            "token": marks.word(), "dsn": f"postgres://app:{marks.word()}@db/x",
            "doc": f"{marks.text('documentation')}, password={marks.word()}.",
        }  # fmt: skip
        known["broken"] = f"{marks.text('broken')}: amqp://guest:{marks.word()}@rabbit:5672 refused"
        known["ordinary"] = self.ordinary
        self.doors |= {"documentation"}
        path = self.shop.folder / "canaries.json"
        path.write_text(json.dumps(known))
        return known

    # -- processes ---------------------------------------------------------------------------------------------------------
    def environment(self, engine: str) -> dict[str, str]:
        folder = self.shop.folder
        (folder / "host-logs").mkdir(exist_ok=True)
        ours = {
            "UNLOCK": folder / "unlock",
            "BROKEN": folder / "broken",
            "HOST_LOGS": folder / "host-logs",
            "CANARIES": folder / "canaries.json",
        }
        to_host = {"Z4J_LOG": "logging"} if engine in ("rq", "arq") else {}
        return {**self.shop.environment(), "Z4J_ALLOW": "all", **{name: str(folder / file) for name, file in ours.items()}, **to_host}

    def python(self, engine: str) -> Path:
        return ROOT / f".venvs/{engine}/bin/python"

    def start(self, name: str, engine: str, words: tuple[str, ...]) -> Child:
        more = ("-s", str(self.shop.folder / "beat-schedule")) if engine == "celery" else ()
        return self.shop.start(name, [self.python(engine), *words, *more], self.environment(engine))

    def start_all(self) -> None:
        for engine, words in WORKERS.items():
            self.start(f"{engine}-worker", engine, words)
        for scheduler, (engine, words) in SCHEDULERS.items():
            self.start(scheduler, engine, words)

    def produce(self) -> None:
        """Each engine's producer, all at once."""
        modules = {engine: f"{SIDE}.huey_produce" if engine == "huey" else f"{SIDE}.{engine}_side" for engine in NAMES}
        running = [
            self.shop.start(f"{engine}-producer", [self.python(engine), "-m", module], self.environment(engine))
            for engine, module in modules.items()
        ]
        for producer in running:
            assert producer.process.wait(120) == 0, producer.log.read_text()

    # -- what comes out ----------------------------------------------------------------------------------------------------
    def see(self, exit: str, data: bytes | str) -> None:
        self.exits.setdefault(exit, []).append(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)

    def see_answer(self, answer: httpx2.Response) -> None:
        """A form that is shown again, to the person who has just sent it and to nobody else, holds what was typed; nothing else may be
        in its page."""
        content, request = answer.read(), answer.request
        if request.method == "POST" and answer.status_code == 200 and not request.url.path.startswith("/api"):
            own = unquote_plus(request.read().decode())
            content = _TOKEN.sub(lambda found: "" if found[0] in own else found[0], html.unescape(content.decode())).encode()
        self.see(f"{request.method} {request.url.path}", content + str(answer.headers).encode())

    def files(self) -> Iterator[tuple[str, bytes]]:
        """What the product writes: its data folder, the agents' spool, its log, what it said in the hosts' logs and on their output."""
        folder = self.shop.folder
        places = [*self.shop.data.rglob("*"), *(folder / "spool").rglob("*"), *(folder / "host-logs").rglob("*"), *folder.glob("*.log")]
        for path in places:
            if path.is_file():
                try:
                    yield str(path.relative_to(folder)), path.read_bytes()
                except FileNotFoundError:
                    continue  # a segment that was just sent

    def command_lines(self) -> Iterator[tuple[str, bytes]]:
        """What other users of the machine can read of the processes: every command line, and the environment of the server's tree."""
        groups = {os.getpgid(child.process.pid): child.name for child in self.shop.children if child.process.poll() is None}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                name = groups.get(os.getpgid(int(entry.name)))
                if name is not None:
                    yield f"command line in the group of {name}", (entry / "cmdline").read_bytes()
                    if name == "server":
                        yield "environment of the server", (entry / "environ").read_bytes()
            except (ProcessLookupError, FileNotFoundError, PermissionError):
                continue


class Keeper(threading.Thread):
    """Links every file that appears in the spool, before it is sent and deleted."""

    def __init__(self, spool: Path, into: Path) -> None:
        super().__init__(daemon=True)
        self.spool, self.into = spool, into
        self.done = threading.Event()
        into.mkdir()

    def run(self) -> None:
        while not self.done.wait(0.03):
            for path in self.spool.rglob("*"):
                target = self.into / f"{path.parent.name}-{path.name}"
                if path.is_file() and not target.exists():
                    try:
                        os.link(path, target)
                    except (FileNotFoundError, FileExistsError):
                        continue


class Client:
    """The API and the pages, every answer of which is an exit."""

    def __init__(self, scene: Scene) -> None:
        shop = scene.shop
        self.scene = scene
        self.token = shop.command("token", "create", "--api", "canary", "--role", "admin").strip()
        self.api = httpx2.Client(base_url=f"{shop.address}/api/v1", headers={"Authorization": f"Bearer {self.token}"}, timeout=60)
        self.person = Person.sign_in(shop)
        self.person.client.event_hooks = {"response": [scene.see_answer]}
        self.api.event_hooks = {"response": [scene.see_answer]}
        shop.at_end.append(self.api.close)

    def get(self, path: str, **query: Any) -> Any:
        return self.api.get(path, params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.api.post(path, json=body)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text[:600]}"
        return answer.json()

    def press(self, path: str, **form: str) -> httpx2.Response:
        """A form of a page."""
        answer = self.person.client.post(path, data=form)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:600]}"
        return answer

    def wait_command(self, id: str) -> dict[str, Any]:
        def look() -> Any:
            command = self.get(f"/commands/{id}")
            return command if command["status"] in ENDED else None

        found: dict[str, Any] = wait_for(look, seconds=60, what=f"command {id} ends")
        return found


def runs(scene: Scene) -> set[tuple[str, str]]:
    """(user, digest) of every run of `login`."""
    witness = scene.shop.folder / "witness"
    lines = [line.split("|") for line in witness.read_text().splitlines()] if witness.exists() else []
    return {(user, digest) for _, user, digest in lines}


def leaks(scene: Scene) -> list[str]:
    """Where a secret of this run was seen in clear, with what stands around it."""
    search, found = Search(scene.marks.secret), set[str]()
    for exit, parts in scene.exits.items():
        found |= {f"{exit}: {hit!r}" for part in parts for hit in search.hits(part)}
    for path in (scene.shop.data / "z4j.db", scene.shop.folder / "backup.db"):
        found |= {f"{path.name}, table {table}: {hit!r}" for table, hit in search.in_database(path)}
    return sorted(found)
