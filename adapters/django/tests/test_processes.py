# SPDX-License-Identifier: Apache-2.0
"""Django where nothing is served: management commands, a Celery worker of the project; and what becomes of it without a server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import free_port, wait_for


@pytest.mark.parametrize(
    "command", ["migrate", pytest.param("check", marks=pytest.mark.long), pytest.param("diffsettings", marks=pytest.mark.long)]
)
def test_a_management_command_does_not_connect(site: Any, gateway: Gateway, command: str) -> None:
    done = site.run("manage.py", command)
    assert done.returncode == 0, done.stderr
    assert gateway.frames == []
    assert not list(site.spool.rglob("*.seg"))


def test_a_management_command_that_enqueues_is_told(site: Any, gateway: Gateway) -> None:
    done = site.run("manage.py", "order")
    assert done.returncode == 0, done.stderr
    record = site.enqueued(gateway, done.stdout.strip())
    assert "route" not in record.meta
    assert [(link.hello["pid"], link.goodbye) for link in gateway.links] == [(record.pid, "the process ends")]


def test_a_celery_worker_of_the_project_is_one_agent(site: Any, gateway: Gateway) -> None:
    worker = site.start("worker", [site.python, "-m", "celery", "-A", "shop", "worker", "-c", "2", "-l", "info"], cwd=site.cwd)
    wait_for(gateway.open_links, "the worker is connected")
    task_id = site.run("manage.py", "order").stdout.strip()
    wait_for(lambda: "succeeded" in {record.kind for record in gateway.records(task_id)}, "the task has run")
    workers = [link.hello for link in gateway.links if link.hello["role"] == "worker"]
    assert [(hello["pid"], hello["app"], hello["allow"]) for hello in workers] == [(worker.pid, "shop", "read")]
    assert {record.kind for record in gateway.records(task_id)} == {"enqueued", "payload", "received", "started", "succeeded"}
    assert [record.kind for record in gateway.records(task_id)].count("succeeded") == 1
    command = next(record.pid for record in gateway.records(task_id) if record.kind == "enqueued")
    assert {link.hello["pid"] for link in gateway.links} <= {worker.pid, command}  # and none for the children
    assert site.end(worker) == 0


def test_the_application_is_the_same_without_a_server(site: Any, gateway: Gateway) -> None:
    def behaves() -> tuple[list[Any], int]:
        server = site.serve("gunicorn", "-w", "1", "-b", "127.0.0.1:{port}", "shop.wsgi:application", is_asked=False)
        began = time.monotonic()
        answers = [site.ask("/"), site.ask("/broken/")[0], site.ask("/nowhere/")[0], site.ask("/shop/orders/7/")[0]]
        assert time.monotonic() - began < 15, "it waits for a server that is not there"
        return answers, site.end(server)

    site.variables["WITHOUT_Z4J"] = "1"
    before = behaves()
    del site.variables["WITHOUT_Z4J"]
    site.url = gateway.url.replace(f":{gateway.port}", f":{free_port()}")
    assert behaves() == before == ([(200, "home"), 500, 404, 200], 0)
    assert list(site.spool.rglob("*.seg"))  # what was enqueued waits for a server
    site.url = "z4j+ws://nonsense"
    assert behaves() == before
    assert "z4j is disabled" in site.agent_log()
    assert "z4j is disabled" not in site.log("server")
