# SPDX-License-Identifier: Apache-2.0
"""Django behind its real servers: one connection for each process that serves, and the route each task was enqueued from."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import wait_for

WSGI, ASGI = "shop.wsgi:application", "shop.asgi:application"
BIND = "127.0.0.1:{port}"
TWO = {
    "gunicorn": ("gunicorn", "-w", "2", "-b", BIND, WSGI),
    "gunicorn, preloaded": ("gunicorn", "-w", "2", "--preload", "-b", BIND, WSGI),
    "gunicorn, threads": ("gunicorn", "-w", "2", "--threads", "4", "-b", BIND, WSGI),
    "uvicorn": ("uvicorn", "--workers", "2", "--port", "{port}", ASGI),
}
ONE = {
    "runserver": ("manage", "runserver", BIND),
    "runserver, not reloading": ("manage", "runserver", "--noreload", BIND),
    "uvicorn, reloading": ("uvicorn", "--reload", "--port", "{port}", ASGI),
}
LONG = ("gunicorn", "gunicorn, threads", "runserver, not reloading", "uvicorn, reloading")
"""Proved each time with Flask (gunicorn without preloading) and FastAPI (uvicorn that reloads), or differ in a little from the others."""


def params(commands: dict[str, tuple[str, ...]]) -> list[Any]:
    return [pytest.param(command, id=name, marks=[pytest.mark.long] if name in LONG else []) for name, command in commands.items()]


def tree_of(process: Any) -> set[int]:
    return {process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))}


@pytest.mark.parametrize("command", params(TWO))
def test_each_serving_process_has_one_connection(site: Any, gateway: Gateway, command: tuple[str, ...]) -> None:
    server = site.serve(*command, is_asked=False)
    assert gateway.links == []  # nobody has asked for anything
    links = site.links(gateway, 2)
    assert len({link.hello["pid"] for link in links}) == len(links) == 2
    assert {link.hello["pid"] for link in links} <= tree_of(server) - {server.pid}
    for link in links:
        assert (link.hello["app"], link.hello["environment"], link.hello["allow"]) == ("shop", "from settings", "read")
        assert list(link.hello["engines"]) == ["celery"]
    _, task_id = site.ask("/shop/orders/7/")
    record = site.enqueued(gateway, task_id)
    assert record.meta["route"] == "GET /shop/orders/<int:number>/"
    assert record.meta["code"].startswith("shop.urls:")
    site.end(server)
    wait_for(lambda: not gateway.open_links(), "every connection has ended")
    assert len(gateway.links) == 2
    if command[0] == "gunicorn":  # uvicorn ends its processes by the signal itself: nothing of Python's runs any more
        assert {link.goodbye for link in links} == {"the process ends"}


@pytest.mark.parametrize("command", params(ONE))
def test_only_the_process_that_serves_connects(site: Any, gateway: Gateway, command: tuple[str, ...]) -> None:
    server = site.serve(*command)
    [link] = site.links(gateway, 1)
    assert link.hello["pid"] in tree_of(server)
    assert link.hello["role"] == "producer"
    _, task_id = site.ask("/shop/orders/7/")
    assert site.enqueued(gateway, task_id).meta["route"] == "GET /shop/orders/<int:number>/"
    assert len(gateway.links) == 1


def test_the_route_of_every_kind_of_view(site: Any, gateway: Gateway) -> None:
    kinds = {
        "/shop/orders/7/": "GET /shop/orders/<int:number>/", "/later/7/": "GET /later/<int:number>/",
        "/old/7/": "GET /old/(?P<number>[0-9]+)/$", "/stream/": "GET /stream/",
    }  # fmt: skip
    for command in (TWO["uvicorn"], TWO["gunicorn, threads"]):
        server = site.serve(*command)
        for path, route in kinds.items():
            status, task_id = site.ask(path)
            assert (status, site.enqueued(gateway, task_id).meta.get("route")) == (200, route)
        site.end(server)
