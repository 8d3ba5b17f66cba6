# SPDX-License-Identifier: AGPL-3.0-or-later
"""Secrets that nobody can guess go through every way in, on all engines; none is in clear at any way out, and each arrives whole.

The scene is played once, then each test looks at its part. That a door was used is proved by ordinary text that went through it beside the
secrets and must be found.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.canary.scene import ALL_NATIVE, NAMES, Client, Keeper, Scene, leaks, runs
from tests.support.canary.search import Search
from tests.support.endpoints import Endpoint, endpoint
from tests.support.stack import ROOT, stack, wait_for
from tests.support.syslog import Receiver, tcp_receiver
from tests.support.wire_client import now
from z4j.web.routes import all_rows
from z4j_agent.wire.redaction import MASK

pytestmark = pytest.mark.timeout(420)
CORPUS = json.loads((ROOT / "adapters/agent/tests/wire/data/redaction.json").read_text())
FAILED, SUCCEEDED = 11, 12


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with stack(tmp_path_factory.mktemp("canary")) as shop, tcp_receiver() as syslog, tcp_receiver() as lines, endpoint() as hook:
        made = Scene(shop, ordinary=CORPUS["ordinary"])
        play(made, Outside(syslog, lines, hook))
        yield made


class Outside(NamedTuple):
    """Other tools that rows are forwarded to."""

    syslog: Receiver
    lines: Receiver
    hook: Endpoint


def forward(client: Client, outside: Outside) -> None:
    """Targets of every kind, from the first row on."""
    for name, kind, port in (("siem", "syslog", outside.syslog.port), ("lines", "json", outside.lines.port)):
        client.post("/forwarding", name=name, kind=kind, url=f"tcp://127.0.0.1:{port}", alerts=True, from_beginning=True)
    client.post("/forwarding", name="file", kind="json", url="file:audit", alerts=True, from_beginning=True)
    url = f"{outside.hook.url}/{client.scene.marks.word()}"
    client.post("/forwarding", name="hook", kind="webhook", url=url, key=client.scene.marks.word(), from_beginning=True)


def take_outside(scene: Scene, client: Client, outside: Outside) -> None:
    """What has arrived there, once everything has, and the metrics in both formats."""

    def is_sent() -> bool:
        targets = client.get("/forwarding")["targets"]
        return all(each["waiting_audit"] + each["waiting_alerts"] == 0 and not each["failing_since"] for each in targets)

    wait_for(is_sent, seconds=60, what="everything was forwarded")
    for exit, parts in (("syslog", outside.syslog.parts), ("JSON lines", outside.lines.parts)):
        for part in parts:
            scene.see(exit, part)
    for _, headers, body in outside.hook.received:
        scene.see("webhook", body + str(headers).encode())
    for accept in ("text/plain", "application/openmetrics-text"):
        scene.see(f"metrics {accept}", client.person.client.get("/metrics", headers={"Accept": accept}).content)


def play(scene: Scene, outside: Outside) -> None:
    """Everything that happens, in order."""
    shop = scene.shop
    shop.start_broker()
    shop.command("migrate")
    scene.write_known()
    shop.add_app()
    server = shop.start_server(is_fresh=True)  # command lines and environments are searched, too
    assert server.process.poll() is None
    keeper = Keeper(shop.folder / "spool", shop.folder / "kept")
    keeper.start()
    scene.start_all()
    client = Client(scene)
    forward(client, outside)
    wait_for(lambda: len(client.get("/workers")["workers"]) >= len(NAMES), seconds=90, what="the workers of every engine are connected")
    scene.produce()
    wait_for(lambda: len(tasks(client, state="failed")) >= len(NAMES), seconds=60, what="every sign-in failed")
    take(scene)
    fail_to_send(scene, client)
    (shop.folder / "unlock").touch()
    operate(scene, client)
    schedule(scene, client)
    override(scene, client)
    record(scene, client)
    client.get("/audit")  # before the crawl fills its first page with exports
    client.person.get("/changes/audit")
    client.person.get("/changes/audit.csv")
    wait_for(lambda: missing_runs(scene) == [], seconds=90, what="every task ran with its true secrets")
    time.sleep(1)
    crawl(scene, client)
    shop.command("backup", str(shop.folder / "backup.db"))
    scene.see("z4j audit export", shop.command("audit", "export"))
    for part in scene.command_lines():
        scene.see(*part)
    take_outside(scene, client, outside)
    take(scene)
    keeper.done.set()
    keeper.join()
    for path in (shop.folder / "kept").iterdir():
        scene.see(f"spool: {path.name}", path.read_bytes())


def take(scene: Scene) -> None:
    for name, data in scene.files():
        scene.see(name, data)


def tasks(client: Client, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/tasks", limit=500, **query)["tasks"]
    return [row for row in found if row["name"].endswith("_login")]


def missing_runs(scene: Scene) -> list[str]:
    """Doors whose task has not run with exactly what was sent."""
    have = runs(scene)
    own = {door: digest for door, digest in scene.digests.items() if not door.startswith("in the code")}
    return [door for door, digest in own.items() if (scene.marks.text(door), digest) not in have]


def fail_to_send(scene: Scene, client: Client) -> None:
    """The engine refuses a retry, with a secret in its words: asked for singly, and by a plan."""
    broken = scene.shop.folder / "broken"
    broken.touch()
    [row] = tasks(client, engine="celery", state="failed")
    command = client.post(f"/tasks/{row['id']}/actions", action="retry_task", reason=scene.reason("reason of a retry"))
    assert client.wait_command(command["id"])["status"] == "failed"
    plan = client.post("/plans", action="retry_task", ids=[row["id"]], reason=scene.reason("reason of a plan"))["plan"]
    client.post(f"/plans/{plan['id']}/execute", digest=plan["digest"])
    wait_for(lambda: client.get(f"/plans/{plan['id']}")["account"]["failed"] == 1, seconds=30, what="the item failed")
    assert "refused" in client.get(f"/plans/{plan['id']}/items")["items"][0]["detail"]
    broken.unlink()
    scene.doors.add("broken")


def operate(scene: Scene, client: Client) -> None:
    """Retry, edit and run on every engine by the API; edit and run by the forms of the pages."""
    for row in tasks(client, state="failed"):
        engine, id = row["engine"], row["id"]
        client.post(f"/tasks/{id}/actions", action="retry_task", reason=scene.reason(f"retry of {engine}"))
        args, kwargs = scene.arguments(f"edit of {engine}")
        edit = {"args": {str(place): value for place, value in enumerate(args)}, "kwargs": kwargs}
        client.post(f"/tasks/{id}/actions", action="edit_task", edit=edit, reason=scene.reason(f"reason of an edit of {engine}"))
        args, kwargs = scene.arguments(f"run of {engine}")
        queue = {"queue": "canary"} if engine == "rq" else {}
        client.post("/tasks", app="shop", engine=engine, name=NAMES[engine], args=args, kwargs=kwargs, reason=scene.reason("run"), **queue)
    client.person.get("/tasks/run?app=shop&engine=celery&name=celery_login")
    args, kwargs = scene.arguments("form of a run", ())
    form = {f"of.{name}": json.dumps(value) for name, value in zip(("user", "password", "link"), args, strict=True)}
    where = {"app": "shop", "engine": "celery", "name": NAMES["celery"]}
    client.press("/tasks/run", **where, **form, kwargs=json.dumps(kwargs), reason=scene.reason("reason in the form of a run"))
    args, kwargs = scene.arguments("form that does not fit", ())
    del scene.digests["form that does not fit"]
    client.press("/tasks/run", **where, args=json.dumps(args), kwargs=json.dumps({**kwargs, "strange": 1}), reason="")


def schedule(scene: Scene, client: Client) -> None:
    """Own schedules of every engine: made, edited with and without what is hidden, run at once, by the API and by the form."""
    for engine, name in NAMES.items():
        args, kwargs = scene.arguments(f"own schedule of {engine}")
        queue = {"queue": "canary"} if engine == "rq" else {}
        id = client.post(
            "/schedules", app="shop", engine=engine, name=f"own of {engine}", kind="cron", expression="0 3 * * *", task_name=name,
            args=args, kwargs=kwargs, reason=scene.reason(f"reason of a schedule of {engine}"), **queue,
        )["id"]  # fmt: skip
        client.post(f"/schedules/{id}/actions", action="fire", reason=scene.reason(f"reason of a fire of {engine}"))
        client.post(f"/schedules/{id}", expression="0 4 * * *", reason=scene.reason("edit of a time"))
        client.person.get(f"/schedules/{id}/edit")
        client.post(f"/schedules/{id}/actions", action="disable", reason=scene.reason(f"reason of disabling {engine}"))
    args, kwargs = scene.arguments("form of a schedule", ())
    form = {
        "app": "shop", "engine": "celery", "scheduler": "z4j", "environment": "", "name": "by form", "kind": "cron",
        "expression": "0 5 * * *", "timezone": "UTC", "task_name": NAMES["celery"], "is_enabled": "on",
    }  # fmt: skip
    typed = {"args": json.dumps(args), "kwargs": json.dumps(kwargs)}
    for step in ("review", "save"):
        client.press("/schedules/new", **form, **typed, step=step, reason=scene.reason("reason in the form of a schedule"))
    made = next((row for row in client.get("/schedules")["schedules"] if row["name"] == "by form"), None)
    assert made is not None, "the form made no schedule"
    shown = {name: client.get(f"/schedules/{made['id']}")["schedule"][name] for name in ("args", "kwargs")}
    shown = {name: text if isinstance(text, str) else json.dumps(text) for name, text in shown.items()}
    later = form | {"expression": "0 6 * * *"}
    for step in ("review", "save"):
        client.press(f"/schedules/{made['id']}/edit", **later, **shown, step=step, reason=scene.reason("reason of an edit in the form"))
    assert client.get(f"/schedules/{made['id']}")["schedule"]["expression"] == "0 6 * * *"
    client.post(f"/schedules/{made['id']}/actions", action="fire")


def override(scene: Scene, client: Client) -> None:
    """Entries of the applications' own schedulers: in code and in stores, edited and run."""

    def listed() -> Any:
        entries = [row for row in client.get("/schedules")["schedules"] if row["key"] == "nightly"]
        found = {row["scheduler"]: row for row in entries if row["scheduler"] in ALL_NATIVE}
        return found if set(ALL_NATIVE) <= found.keys() else None

    rows = wait_for(listed, seconds=60, what="the entries of every scheduler are listed")
    take(scene)  # an edit replaces what was in the application's code
    for scheduler in ALL_NATIVE:
        door = f"edit of an entry of {scheduler}"
        args, kwargs = scene.arguments(door, ())
        id = rows[scheduler]["id"]
        if scheduler == "arq_cron":  # arq's own entries have no positional arguments
            kwargs |= {"user": args[0], "password": args[1], "link": args[2]}
            args = []
        client.post(f"/schedules/{id}", args=args, kwargs=kwargs, reason=scene.reason(f"reason of {door}"))

        def is_applied(id: int = id, door: str = door) -> bool:
            return scene.marks.text(door) in json.dumps(client.get(f"/schedules/{id}")["schedule"])

        wait_for(is_applied, seconds=30, what=f"{door} is applied")
        client.post(f"/schedules/{id}/actions", action="fire", reason=scene.reason(f"reason of running an entry of {scheduler}"))


def record(scene: Scene, client: Client) -> None:
    """An incident, maintenance, a release that is marked, and a channel whose address is a secret."""
    id = client.post("/incidents", title=scene.reason("title of an incident"))["id"]
    client.post(f"/incidents/{id}/notes", text=scene.reason("note of an incident"))
    client.post("/maintenance", ends_at=now() + 3_600_000_000, app="nobody", reason=scene.reason("reason of maintenance"))
    client.post("/alert-rules", name="absent", threshold={"measure": "absent", "limit": 60}, subject="nobody.runs_this")
    wait_for(lambda: scene.shop.rows("SELECT id FROM alert"), seconds=60, what="an alert fires")
    client.post(f"/incidents/{id}/end")


def crawl(scene: Scene, client: Client) -> None:
    """Every page, list, export and API answer there is, each task, schedule, plan, worker and queue."""
    found = {
        "tasks": [row["id"] for row in client.get("/tasks", limit=500)["tasks"] if row["name"].endswith("_login")],
        "schedules": [row["id"] for row in client.get("/schedules")["schedules"]],
        "plans": [row["id"] for row in client.get("/plans")["plans"]],
        "workers": [row["worker"] if "worker" in row else row["name"] for row in client.get("/workers")["workers"]],
        "queues": [row["name"] for row in client.get("/queues")["queues"]],
        "names": sorted(set(NAMES.values())),
        "errors": [row[0] for row in scene.shop.rows("SELECT id FROM error_group")],
        "alerts": [row[0] for row in scene.shop.rows("SELECT id FROM alert")],
        "incidents": [row[0] for row in scene.shop.rows("SELECT id FROM incident")],
        "releases": [row["release"] for row in client.get("/releases")["releases"]],
        "connect": [row[0] for row in scene.shop.rows("SELECT id FROM token WHERE kind = 'agent'")],
    }
    commands = [row["id"] for row in client.get("/commands")["commands"]]
    for route in all_rows():
        if route.method != "GET" or route.path in ("/static/{mark}/{path:path}", "/events", "/login", "/setup"):
            continue
        subject = route.path.removeprefix("/api/v1").split("/")[1]
        ids: list[Any] = [None]
        if "{id}" in route.path:
            ids = commands
        elif any(part in route.path for part in ("{id:int}", "{name:path}", "{release:path}")):
            ids = found[subject]
        for id in ids:
            path = route.path.replace("{id:int}", str(id)).replace("{id}", str(id)).replace("{name:path}", str(id))
            path = path.replace("{release:path}", str(id))
            is_api, rest = path.startswith("/api"), path.removeprefix("/api/v1")
            answer = client.api.get(rest) if is_api else client.person.client.get(path)
            assert answer.status_code < 500, (path, answer.text[:300])
    for row in tasks(client):
        assert row["args"]


# -- what must be so -----------------------------------------------------------------------------------------------------------
def test_what_tasks_of_every_engine_log_is_stored_with_masks(scene: Scene) -> None:
    lines = scene.shop.rows(
        "SELECT n.text, l.message FROM log_line AS l JOIN log_run AS r ON r.id = l.run JOIN name AS n ON n.id = r.engine_id"
    )
    engines = {engine for engine, message in lines if "signs in" in message}
    assert engines == set(NAMES), engines
    assert all(MASK in message for _, message in lines if "signs in" in message)


def test_no_secret_is_in_clear_at_any_exit(scene: Scene) -> None:
    found = leaks(scene)
    exits = Counter(hit.partition(": ")[0] for hit in found)
    samples = [next(hit for hit in found if hit.startswith(exit)) for exit in exits]
    assert not found, "\n".join(f"{exits[exit]} at {sample}" for exit, sample in zip(exits, samples, strict=True))


def test_every_door_was_used(scene: Scene) -> None:
    """The ordinary text that went along is stored."""
    with_text = {door for door in scene.doors if not door.startswith("form that")}
    search = Search([scene.marks.plain])
    hits = search.in_database(scene.shop.data / "z4j.db")
    taken = [hit for exit, parts in scene.exits.items() if exit.startswith("data/") for part in parts for hit in search.hits(part)]
    stored = b"\n".join([*taken, *(hit for _, hit in hits)]).decode("utf-8", "replace")
    assert [door for door in sorted(with_text) if f"{scene.marks.plain} {door}" not in stored] == []


def test_every_exit_shows_something(scene: Scene) -> None:
    """The search would find what is there: each kind of exit holds ordinary text of this run."""
    search = Search([scene.marks.plain])
    kinds = (
        "GET /api/v1/tasks", "GET /tasks", "GET /tasks.csv", "GET /changes", "GET /api/v1/audit", "GET /changes/audit.csv", "data/z4j.db",
        "spool", "z4j audit export", "GET /schedules", "GET /api/v1/plans", "GET /tasks/run",
        "syslog", "JSON lines", "data/forwarded/audit.jsonl", "webhook",
    )  # fmt: skip
    for kind in kinds:
        assert any(next(search.hits(part), None) for exit, parts in scene.exits.items() if exit.startswith(kind) for part in parts), kind
    exemplars = [part for exit, parts in scene.exits.items() if exit == "metrics application/openmetrics-text" for part in parts]
    assert any(b"celery_login" in part and b"# {id=" in part for part in exemplars)
    assert any(exit.startswith("host-logs/") for exit in scene.exits)
    assert any("WAL" in exit or exit.endswith("-wal") for exit in scene.exits)
    assert any("values.key" in exit for exit in scene.exits)


@pytest.mark.parametrize("engine", NAMES)
def test_a_task_gets_its_true_secrets(scene: Scene, engine: str) -> None:
    """Produced, retried, edited, run by an operator, and made by a schedule: what arrives is what was sent."""
    have = runs(scene)
    for door in (f"produced by {engine}", f"edit of {engine}", f"run of {engine}", f"own schedule of {engine}"):
        assert (scene.marks.text(door), scene.digests[door]) in have, door
    user = scene.marks.text(f"produced by {engine}")
    lines = (scene.shop.folder / "witness").read_text().splitlines()
    assert sum(line == f"{engine}|{user}|{scene.digests[f'produced by {engine}']}" for line in lines) >= 2  # the first run, and the retry


@pytest.mark.parametrize("scheduler", ALL_NATIVE)
def test_an_entry_that_was_edited_runs_with_its_true_secrets(scene: Scene, scheduler: str) -> None:
    door = f"edit of an entry of {scheduler}"
    assert (scene.marks.text(door), scene.digests[door]) in runs(scene)


def test_tokens_and_keys_are_nowhere_in_clear(scene: Scene) -> None:
    """The connection's token with its seal key, and what the server made itself."""
    url = scene.shop.url.partition("://")[2].rpartition("@")[0]
    token, _, seal = url.partition(".")
    search = Search([token[4:24], seal[:20]])
    assert [
        f"{exit}: {hit!r}"
        for exit, parts in scene.exits.items()
        for part in parts
        if exit != "environment of the server"
        for hit in search.hits(part)
    ] == []


def test_ordinary_payloads_are_shown_as_they_are(scene: Scene) -> None:
    rows = scene.shop.rows(
        "SELECT t.args, t.result FROM task AS t JOIN name AS n ON n.id = t.name_id WHERE n.text = 'celery_echo' AND t.state = ?", SUCCEEDED
    )
    assert len(rows) == len(CORPUS["ordinary"])
    shown = {row[0]: row[1] for row in rows}
    expected = {json.dumps([payload], ensure_ascii=False): payload for payload in CORPUS["ordinary"]}
    masked = [text for text in shown if MASK in text]
    accepted = [row["payload"] for row in CORPUS["accepted"]]
    assert len(masked) <= 2
    assert len(masked) <= len(accepted)
    assert {text for text in shown if MASK not in text} == expected.keys() - {json.dumps([of], ensure_ascii=False) for of in accepted}
    for text, payload in expected.items():
        if payload not in accepted:
            assert shown[text] == json.dumps(payload, ensure_ascii=False), text
    assert all(row["reason"] for row in CORPUS["accepted"])


def test_the_search_finds_every_form(tmp_path: Path) -> None:
    """A search that finds nothing would let everything pass."""
    import base64
    import gzip
    import sqlite3
    import zlib

    mark, search = "aK3xQ9zR", Search(["aK3xQ9zR"])
    text = f"before {mark} after".encode()
    forms = [text, base64.b64encode(text), base64.b64encode(b"x" + text), base64.urlsafe_b64encode(b"xy" + text), text.hex().encode(),
             text.decode().encode("utf-16"), zlib.compress(text), gzip.compress(text), base64.b64encode(zlib.compress(text * 3)),
             "".join(f"%{byte:02x}" for byte in text).encode(), b"\0" * 99 + zlib.compress(base64.b64encode(text))]  # fmt: skip
    for form in forms:
        assert list(search.hits(form)), form
    assert not list(search.hits(b"nothing " * 1_000))
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES (?)", (zlib.compress(text),))
    assert [table for table, _ in search.in_database(tmp_path / "a.db")] == ["t"]
