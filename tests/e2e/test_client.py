# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j-client in front of a real server and a real worker: every test with both of its faces."""

from __future__ import annotations

import inspect
import re
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import z4j_client
from tests.support.database import life, origin
from tests.support.stack import ROOT, SERVER_PYTHON, Stack, stack, wait_for
from tests.support.wire_client import WireClient, now
from z4j_agent import wire
from z4j_client import AsyncClient, Client, models

Open = Callable[..., Client]


class Blocking:
    """An asynchronous client, or a part of it, whose methods block: the same test can use both faces."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target, self._portal = target, portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return Blocking(value, self._portal)
        if inspect.isasyncgenfunction(value):
            return lambda *args, **kwargs: iter(self._portal.call(_collect, value(*args, **kwargs)))
        return lambda *args, **kwargs: self._portal.call(lambda: value(*args, **kwargs))


async def _collect(rows: Any) -> list[Any]:
    return [row async for row in rows]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a client of one face."""
    with start_blocking_portal() as portal:
        opened: list[Any] = []

        def connect(*words: Any, **options: Any) -> Client:
            client: Any = Client(*words, **options) if request.param == "sync" else AsyncClient(*words, **options)
            opened.append(client)
            return cast(Client, client if request.param == "sync" else Blocking(client, portal))

        yield connect
        for client in opened:
            if isinstance(client, Client):
                client.close()
            else:
                portal.call(client.aclose)


def token_of(made: Stack, role: str, *words: str) -> str:
    return made.command("token", "create", "--api", f"{role} {uuid4().hex[:6]}", "--role", role, *words).strip()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with 1,200 tasks of which 200 failed, reported by an agent by hand."""
    with stack(tmp_path_factory.mktemp("client")) as made:
        made.command("migrate")
        url = made.add_app()
        made.start_server()
        at = now() - 600_000_000
        ids = [str(uuid4()) for _ in range(1_200)]
        with WireClient(url) as agent:
            agent.send_and_wait(b"".join(map(wire.encode_record, [origin(at=at)])))
            for start in range(0, 1_200, 300):
                records = [
                    record
                    for index, id in enumerate(ids[start : start + 300], start)
                    for record in life(id, at + index * 1_000, "failed" if index % 6 == 0 else "succeeded")
                ]
                agent.send_and_wait(b"".join(map(wire.encode_record, records)))
        made.variables["IDS"] = " ".join(ids)
        yield made


def test_all_tasks_are_read_page_by_page(filled: Stack, connect: Open) -> None:
    z4j = connect(filled.address, token=token_of(filled, "viewer"))
    rows = list(z4j.tasks.iterate(limit=150))
    assert {row.task_id for row in rows} == set(filled.variables["IDS"].split())
    assert len(rows) == 1_200, "none twice"
    first = z4j.tasks.list(q="state:failed name:shop.*", limit=50)
    assert len(first.tasks) == 50
    assert {row.state for row in first.tasks} == {"failed"}
    second = z4j.tasks.list(q="state:failed name:shop.*", limit=50, older=first.older)
    assert max(row.id for row in second.tasks) < min(row.id for row in first.tasks)
    task = z4j.tasks.get(first.tasks[0].id)
    assert (task.row, task.runs[0].error_type) == (first.tasks[0], "ValueError")
    with pytest.raises(z4j_client.NotFound) as missing:
        z4j.tasks.get(10**9)
    assert (missing.value.status, missing.value.title) == (404, "Not Found")
    with pytest.raises(z4j_client.BadRequest) as wrong:
        z4j.tasks.list(q="colour:red")
    assert "colour" in wrong.value.message
    assert wrong.value.request_id


def test_a_viewer_is_refused_and_an_expired_token_too(filled: Stack, connect: Open) -> None:
    viewer, expired = token_of(filled, "viewer"), token_of(filled, "operator", "--days", "1")
    with pytest.raises(z4j_client.NotAllowed) as refused:
        connect(filled.address, token=viewer).plans.create(action="delete_task", filter={"state": "failed"})
    assert "viewer" in refused.value.message
    with closing(sqlite3.connect(filled.data / "z4j.db", timeout=30)) as db, db:
        changed = db.execute("UPDATE token SET expires_at = ? WHERE expires_at IS NOT NULL", (now() - 1_000_000,)).rowcount
    assert changed
    client = connect(filled.address, token=expired)
    with pytest.raises(z4j_client.NotAuthenticated) as late:
        client.tasks.list()
    assert late.value.status == 401
    for text in (
        str(late.value),
        repr(late.value),
        repr(getattr(client, "_target", client)),
        repr(vars(getattr(client, "_target", client))),
    ):
        assert expired not in text


def test_a_plan_is_previewed_executed_and_followed(tmp_path: Path, connect: Open) -> None:
    """With a real worker, which also answers a single command."""
    with stack(tmp_path) as made:
        made.start_broker()
        made.command("migrate")
        made.add_app()
        made.start_server()
        made.start_worker()
        z4j = connect(made.address, token=token_of(made, "operator"))
        command = z4j.tasks.run(app="shop", environment=production_of(z4j), engine="celery", name="shop.ship", args=[7], reason="a test")
        command = z4j.commands.wait(command, timeout=60)
        assert (command.status, command.reason) == ("done", "a test")
        made.produce("shop.charge", 5, "[1]")
        wait_for(lambda: len(z4j.tasks.list(state="failed").tasks) == 5, what="the tasks have failed")
        plan = z4j.plans.create(action="retry_task", filter={"state": "failed"}, reason="the bank is back")
        assert (plan.plan.status, plan.plan.items, plan.plan.ended_at) == ("frozen", 5, None)
        with pytest.raises(z4j_client.WaitTimedOut) as slow:
            z4j.plans.wait(plan, timeout=0.1)
        assert slow.value.last == plan
        with pytest.raises(z4j_client.BadRequest):
            z4j.plans.execute(plan.plan.id, digest="0")
        z4j.plans.execute(plan.plan.id, digest=plan.plan.digest)
        states = list(z4j.plans.follow(plan, timeout=120))
        assert (states[-1].plan.status, states[-1].account["done"]) == ("done", 5)
        assert {item.status for item in z4j.plans.iterate_items(plan.plan.id)} == {"done"}
        wait_for(lambda: len(z4j.tasks.list(state="failed").tasks) == 10, what="the retried tasks have failed, too")


def production_of(z4j: Client) -> str:
    """The environment of the only worker, after its tasks are known."""
    wait_for(lambda: "shop.ship" in {row.name for row in z4j.task_names.list().names}, what="the tasks are discovered")
    [worker] = z4j.workers.iterate()
    assert worker.state == "connected"
    return worker.environment


def test_every_list_is_read_and_what_people_keep_is_written(filled: Stack, connect: Open) -> None:
    """Every read of the API, decoded field by field; rules, channels, maintenance, incidents, releases, schedules and errors changed."""
    z4j = connect(filled.address, token=token_of(filled, "admin"))
    [group] = z4j.errors.iterate()
    assert (group.error_type, z4j.errors.get(group.id).error) == ("ValueError", group)
    assert z4j.errors.act(group.id, action="note", note="known").error.note == "known"
    limit = models.Threshold(measure="failures", limit=10.0)
    rule = z4j.alerts.create_rule(name=f"many {uuid4().hex[:6]}", threshold=limit, app="shop")
    [stored] = [each for each in z4j.alerts.rules().rules if each.id == rule.id]
    assert stored.rule.threshold == limit
    assert [each.app for each in z4j.alerts.dry_run(rule=stored.rule, id=rule.id).fired] == ["shop"]
    channel = z4j.alerts.create_channel(name=f"hook {uuid4().hex[:6]}", kind="webhook", url="https://127.0.0.1:9/hook", key="k" * 40)
    assert channel.id in {each.id for each in z4j.alerts.channels().channels}
    window = z4j.alerts.begin_maintenance(ends_at=now() + 3_600_000_000, app="shop")
    assert z4j.alerts.end_maintenance(window.id).id == window.id
    assert z4j.alerts.delete_rule(rule.id).id == rule.id
    assert list(z4j.alerts.iterate()) == []
    incident = z4j.incidents.start(title="a test", app="shop")
    z4j.incidents.add_note(incident.id, text="something was done")
    z4j.incidents.end(incident.id)
    assert incident.id in {each.id for each in z4j.incidents.iterate()}
    assert "something was done" in {event.text for event in z4j.incidents.get(incident.id).events}
    assert z4j.releases.mark(release="1.1", app="shop", environment="production").release == "1.1"
    assert {"1.0", "1.1"} <= {each.release for each in z4j.releases.iterate()}
    [compared] = z4j.releases.compare(release="1.0", app="shop").names
    assert (compared.name, compared.after.failed, compared.word) == ("shop.ship", 200, "too few runs")
    schedule = z4j.schedules.create(
        app="shop", name=f"nightly {uuid4().hex[:6]}", kind="cron", expression="0 3 * * *", task_name="shop.ship", engine="celery"
    )
    assert schedule.id is not None
    assert len(z4j.schedules.get(schedule.id).schedule.upcoming) == 5
    z4j.schedules.change(schedule.id, expression="30 3 * * *")
    z4j.schedules.act(schedule.id, action="disable", reason="a test")
    [changed] = [each for each in z4j.schedules.list().schedules if each.id == schedule.id]
    assert (changed.expression, changed.is_enabled) == ("30 3 * * *", False)
    z4j.schedules.act(schedule.id, action="delete", confirm="delete")
    assert z4j.schedules.schedulers().schedulers == []
    assert {"change_alert_rule", "change_incident"} <= {row.action for row in z4j.audit.iterate()}
    assert [row.name for row in z4j.queues.iterate()] == ["work"]
    wait_for(lambda: z4j.findings.list().checked_at, what="the findings are computed")
    queue = z4j.queues.history(queue="work", app="shop", range="24h")
    assert sum(slot.enqueued or 0 for slot in queue.slots) == 1_200
    assert queue.callers is not None
    assert sum(hour.enqueued for hour in queue.ledger) in (0, 1_200), "it begins with the first whole hour"
    assert z4j.task_names.totals(app="shop").names[0].name == "shop.ship"
    name = z4j.task_names.history(name="shop.ship", app="shop", range="24h")
    assert (name.name, sum(slot.failed or 0 for slot in name.slots), len(name.slowest)) == ("shop.ship", 200, 8)
    assert sum(bucket.tasks for bucket in name.ran_buckets) == 1_200
    assert list(z4j.commands.iterate()) == []
    assert z4j.task_names.list().names == []
    plan = z4j.plans.create(action="delete_task", ids=[z4j.tasks.list(state="failed").tasks[0].id])
    assert z4j.plans.abort(plan.plan.id).plan.status == "aborted"
    assert plan.plan.id in {row.id for row in z4j.plans.iterate()}
    assert z4j.openapi.get()["openapi"] == "3.1.0"


# -- TLS ----------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with a self-signed certificate."""
    with stack(tmp_path_factory.mktemp("secured")) as made:
        made.tls = ("Z4J_TLS=auto", "Z4J_HOST=0.0.0.0")
        made.command("migrate")
        made.start_server()
        made.add_app()
        yield made


def test_a_self_signed_certificate_is_verified_by_pin_or_file(secured: Stack, connect: Open, tmp_path: Path) -> None:
    [pin] = parse_qs(urlsplit(secured.url).query)["pin"]
    file = tmp_path / "token"
    file.write_text(f"{token_of(secured, 'viewer')}\n")
    assert connect(secured.address, token_file=file, pin=pin).tasks.list().tasks == []
    assert connect(secured.address, token_file=file, pin=f"{'A' * 43},{pin}").tasks.list().tasks == [], "one of two pins"
    assert connect(secured.address, token_file=file, ca_file=secured.data / "tls/server.pem").tasks.list().tasks == []
    with pytest.raises(z4j_client.CertificateRefused, match="The token was not sent"):
        connect(secured.address, token_file=file).tasks.list()


@contextmanager
def listener(secured: Stack) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server with the certificate of `secured`, and what it received."""
    received: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secured.data / "tls/server.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def serve() -> None:
            try:
                while True:
                    plain, _ = server.accept()
                    plain.settimeout(5)
                    received.append(b"")
                    try:
                        with context.wrap_socket(plain, server_side=True) as stream:
                            while part := stream.recv(4096):
                                received[-1] += part
                    except OSError:
                        plain.close()
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}", received
        server.shutdown(socket.SHUT_RDWR)
        thread.join(40)


def test_with_a_wrong_pin_nothing_is_sent(secured: Stack, connect: Open) -> None:
    with listener(secured) as (address, received):
        client = connect(address, token="z4k_secret", pin="A" * 43, timeout=5)
        with pytest.raises(z4j_client.CertificateRefused, match=r"not the pinned one\. The token was not sent"):
            client.tasks.list()
        wait_for(lambda: received, what="it was reached")
        [pin] = parse_qs(urlsplit(secured.url).query)["pin"]
        with pytest.raises(z4j_client.ConnectionFailed):
            connect(address, token="z4k_secret", pin=pin, timeout=1, retries=0).tasks.list()
        wait_for(lambda: b"z4k_secret" in received[-1], what="with the right pin it is sent")
        assert b"".join(received[:-1]) == b""


# -- the document -------------------------------------------------------------------------------------------------------------
def test_the_examples_of_the_document_run(tmp_path: Path) -> None:
    """Every block of Python in docs/client.md, in front of a real server with a real worker."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/client.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 5
    with stack(tmp_path) as made:
        made.start_broker()
        made.command("migrate")
        made.add_app()
        made.start_server()
        made.start_worker()
        file = tmp_path / "token"
        file.write_text(token_of(made, "operator"))
        with Client(made.address, token_file=file) as z4j:
            made.produce("shop.charge", 3, "[1]")
            wait_for(lambda: len(z4j.tasks.list(state="failed").tasks) == 3, what="the tasks have failed")
        for block in blocks:
            connect = 'Client("https://queue.internal:7700", pin="YYocXQ…", token_file="~/.z4j-token")'
            assert connect in block, "each block opens a client of its own"
            words = block.replace(connect, f"Client({made.address!r}, token_file={str(file)!r})")
            done = made.run(SERVER_PYTHON, "tests.support.run_text", stdin=words)
            assert (done.returncode, done.stderr) == (0, ""), f"{block}\n{done.stdout}{done.stderr}"
