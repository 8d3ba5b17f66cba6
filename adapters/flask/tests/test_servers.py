# SPDX-License-Identifier: Apache-2.0
"""Flask behind its real servers and at its command line: who connects, the route of each task, and no harm."""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import free_port, wait_for

BIND = ("-b", "127.0.0.1:{port}", "web_app:create_app()")
GUNICORN = ("gunicorn", "-w", "2")
FLASK = ("flask", "--app", "web_app:create_app")


def tree_of(process: Any) -> set[int]:
    return {process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="plain"),
        pytest.param(("--preload",), id="preloaded"),
        pytest.param(("--threads", "4"), id="threads", marks=pytest.mark.long),
        pytest.param(("--preload", "--threads", "4"), id="both", marks=pytest.mark.long),
    ],
)
def test_each_gunicorn_worker_has_one_connection(site: Any, gateway: Gateway, options: tuple[str, ...]) -> None:
    server = site.serve(*GUNICORN, *options, *BIND, is_asked=False)
    assert gateway.links == []  # nobody has asked for anything
    links = site.links(gateway, 2)
    assert len({link.hello["pid"] for link in links}) == len(links) == 2
    assert {link.hello["pid"] for link in links} <= tree_of(server) - {server.pid}
    assert {(link.hello["app"], link.hello["allow"], *link.hello["engines"]) for link in links} == {("shop", "read", "celery")}
    _, task_id = site.ask("/shop/orders/7")
    assert site.enqueued(gateway, task_id).meta["route"] == "GET /shop/orders/<int:number>"
    assert site.end(server) == 0
    wait_for(lambda: not gateway.open_links(), "every connection has ended")
    assert [link.goodbye for link in gateway.links] == ["the process ends"] * 2


@pytest.mark.parametrize("options", [pytest.param(("--debug",), id="reloading"), pytest.param((), id="plain", marks=pytest.mark.long)])
def test_only_the_process_that_serves_connects(site: Any, gateway: Gateway, options: tuple[str, ...]) -> None:
    server = site.serve(*FLASK, *options, "run", "--port", "{port}")
    [link] = site.links(gateway, 1)
    assert link.hello["pid"] in tree_of(server)
    if options:
        assert link.hello["pid"] != server.pid  # that one only watches the files
    assert len(gateway.links) == 1


def test_the_route_also_in_hooks_and_streams(site: Any, gateway: Gateway) -> None:
    site.variables["WITH_AUDIT"] = "1"
    server = site.serve("gunicorn", "-w", "1", *BIND)
    for path, route in {"/audited/x": "GET /audited/<word>", "/stream": "GET /stream"}.items():
        status, task_id = site.ask(path)
        assert (status, site.enqueued(gateway, task_id).meta.get("route")) == (200, route)
    assert site.ask("/nowhere")[0] == 404
    wait_for(lambda: [r for r in gateway.records() if r.kind == "enqueued" and "route" not in r.meta], "the hook of no route is reported")
    site.end(server)


def test_a_command_does_not_connect_unless_it_enqueues(site: Any, gateway: Gateway) -> None:
    done = site.run("-m", *FLASK, "routes")
    assert done.returncode == 0, done.stderr
    assert gateway.frames == []
    done = site.run("-m", *FLASK, "order")
    assert done.returncode == 0, done.stderr
    record = site.enqueued(gateway, done.stdout.strip())
    assert "route" not in record.meta
    assert [(link.hello["pid"], link.goodbye) for link in gateway.links] == [(record.pid, "the process ends")]


def test_uninstalled_it_is_as_if_it_had_never_been_there(site: Any, gateway: Gateway) -> None:
    script = (
        "import web_app; app = web_app.create_app(); web_app.z4j.uninstall(app); print(app.test_client().get('/').text, app.extensions)"
    )
    done = site.run("-c", script)
    assert (done.returncode, done.stdout.strip()) == (0, "home {}")
    assert gateway.frames == []


def test_the_application_is_the_same_without_a_server(site: Any, gateway: Gateway) -> None:
    took: list[float] = []

    def behaves() -> tuple[list[Any], int]:
        server = site.serve("gunicorn", "-w", "1", *BIND, is_asked=False)
        began = time.monotonic()
        answers = [site.ask("/"), site.ask("/broken")[0], site.ask("/nowhere")[0], site.ask("/shop/orders/7")[0]]
        took.append(time.monotonic() - began)
        assert took[-1] < 5 + 4 * took[0], "a request waits for the server"  # the first is without z4j: a busy machine is slow with both
        return answers, site.end(server)

    site.variables["WITHOUT_Z4J"] = "1"
    expected = behaves()
    assert expected == ([(200, "home"), 500, 404, 200], 0)
    del site.variables["WITHOUT_Z4J"]
    site.url = gateway.url.replace(f":{gateway.port}", f":{free_port()}")
    assert behaves() == expected
    assert list(site.spool.rglob("*.seg"))  # what was enqueued waits for a server
    site.url = "z4j+ws://nonsense"
    assert behaves() == expected
    assert "z4j is disabled" in site.agent_log()
    assert "z4j is disabled" not in site.log("server")


def test_the_example(example: Any, gateway: Gateway) -> None:
    worker = example.start("worker", [example.python, "-m", "celery", "-A", "app:celery", "worker", "-c", "1"], cwd=example.cwd)
    example.serve("flask", "run", "--port", "{port}", is_asked=False)
    _, task_id = example.ask("/orders/7", "POST")
    assert example.enqueued(gateway, task_id).meta["route"] == "POST /orders/<int:number>"
    wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "succeeded"], "the task has run")
    wait_for(lambda: sorted(link.hello["role"] for link in gateway.links) == ["producer", "worker"], "both are connected")
    assert example.end(worker) == 0
