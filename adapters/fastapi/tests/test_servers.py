# SPDX-License-Identifier: Apache-2.0
"""FastAPI behind uvicorn: one connection for each process that serves, the route of each task, and no harm."""

from __future__ import annotations

import time
from typing import Any

import psutil
import pytest
from websockets.sync.client import connect

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import free_port, wait_for

UVICORN = ("uvicorn", "web_app:app", "--port", "{port}")


def tree_of(process: Any) -> set[int]:
    return {process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))}


@pytest.mark.parametrize(
    ("options", "count"),
    [
        pytest.param((), 1, id="alone", marks=pytest.mark.long),
        pytest.param(("--workers", "2"), 2, id="workers"),
        pytest.param(("--reload",), 1, id="reloading"),
        pytest.param(("--lifespan", "off"), 1, id="no lifespan"),
    ],
)
def test_each_serving_process_has_one_connection(site: Any, gateway: Gateway, options: tuple[str, ...], count: int) -> None:
    server = site.serve(*UVICORN, *options)
    links = site.links(gateway, count)
    assert len({link.hello["pid"] for link in links}) == len(links) == count
    assert {link.hello["pid"] for link in links} <= tree_of(server)
    assert {(link.hello["app"], link.hello["allow"], *link.hello["engines"]) for link in links} == {("shop", "read", "celery")}
    if count > 1:
        assert server.pid not in {link.hello["pid"] for link in links}
    _, task_id = site.ask("/orders/7")
    assert site.enqueued(gateway, task_id).meta["route"] == "GET /orders/{number}"
    site.end(server)
    wait_for(lambda: not gateway.open_links(), "every connection has ended")
    assert len(gateway.links) == count
    if "off" not in options:
        assert [link.goodbye for link in gateway.links] == ["the process ends"] * count


def test_the_route_of_every_kind_of_endpoint(site: Any, gateway: Gateway) -> None:
    server = site.serve(*UVICORN)
    kinds = {
        "/orders/7": "GET /orders/{number}", "/shop/later/7": "GET /shop/later/{number}", "/after/7": "GET /after/{number}",
        "/mounted/inside/7": "GET /mounted/inside/{number}",
    }  # fmt: skip
    for path, route in kinds.items():
        status, task_id = site.ask(path)
        assert (status, site.enqueued(gateway, task_id).meta.get("route")) == (200, route)
    with connect(f"ws://127.0.0.1:{site.port}/talk/7") as socket:
        assert site.enqueued(gateway, str(socket.recv())).meta["route"] == "WEBSOCKET /talk/{number}"
    site.end(server)


def test_import_alone_does_not_connect(site: Any, gateway: Gateway) -> None:
    done = site.run("-c", "import web_app, time; time.sleep(0.5); print(web_app.app.title)")
    assert (done.returncode, done.stdout.strip()) == (0, "FastAPI")
    assert gateway.frames == []


def test_a_mistake_is_a_line_in_the_log(site: Any) -> None:
    done = site.run("-c", "import z4j_fastapi; z4j_fastapi.install(None); print('goes on')")
    assert (done.returncode, done.stdout.strip()) == (0, "goes on")
    assert "FastAPI's start" in site.agent_log()
    assert done.stderr == ""


def test_the_application_is_the_same_without_a_server(site: Any, gateway: Gateway) -> None:
    took: list[float] = []

    def behaves() -> tuple[list[Any], int, list[str]]:
        server = site.serve(*UVICORN, is_asked=False)
        before = len(site.log("server"))
        began = time.monotonic()
        answers = [site.ask("/"), site.ask("/broken")[0], site.ask("/nowhere")[0], site.ask("/orders/7")[0], site.ask("/orders/x")[0]]
        took.append(time.monotonic() - began)
        assert took[-1] < 5 + 4 * took[0], "a request waits for the server"  # the first is without z4j: a busy machine is slow with both
        code = site.end(server)
        return answers, code, [line for line in site.log("server")[before:].splitlines() if line.startswith("lifespan")]

    site.variables["WITHOUT_Z4J"] = "1"
    expected = behaves()
    assert expected[0] == [(200, "home"), 500, 404, 200, 422]
    assert expected[2] == ["lifespan ends"]
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
    server = example.serve("uvicorn", "app:app", "--port", "{port}", is_asked=False)
    _, answer = example.ask("/orders/7", "POST")
    task_id = answer.strip('"')
    assert example.enqueued(gateway, task_id).meta["route"] == "POST /orders/{number}"
    wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "succeeded"], "the task has run")
    wait_for(lambda: sorted(link.hello["role"] for link in gateway.links) == ["producer", "worker"], "both are connected")
    example.end(server)
    assert example.end(worker) == 0
