# SPDX-License-Identifier: Apache-2.0
"""What the packages of web frameworks share: their settings, the route of a request, and one connection for a serving process."""

from __future__ import annotations

import contextvars
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent import lifecycle
from z4j_agent.capture import hooks, web, web_route
from z4j_agent.capture.guard import faults

URL = "z4j+ws://tok." + "A" * 43 + "@127.0.0.1:9"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(web, "_serving_pid", 0)
    yield
    z4j_agent.configure({})


# -- settings ----------------------------------------------------------------------------------------------------------
def test_settings_of_a_framework_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.configure({"URL": URL, "Z4J_APP": "shop", "ENVIRONMENT": "staging", "SPOOL": tmp_path, "DENIED": ["retry_task"], "REDACT": None})
    monkeypatch.setenv("Z4J_ENVIRONMENT", "production")
    settings = lifecycle.settings_of()
    assert settings is not None
    assert (settings.app, settings.environment, settings.denied, settings.redact) == ("shop", "production", ("retry_task",), ())
    assert settings.spool.parent == tmp_path
    agent = z4j_agent.start()
    assert agent is not None
    assert agent.settings == settings


def test_an_empty_connection_string_in_the_environment_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    web.configure({"URL": URL})
    monkeypatch.setenv("Z4J_URL", "")
    assert z4j_agent.start() is None


def test_plaintext_to_another_host_is_allowed_in_code_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Z4J_PLAINTEXT_ALLOWED", "1")
    far = URL.replace("127.0.0.1", "z4j.internal")
    web.configure({"URL": far, "SPOOL": tmp_path})
    assert z4j_agent.start() is None
    web.configure({"URL": far, "SPOOL": tmp_path, "PLAINTEXT_ALLOWED": True})
    assert z4j_agent.start() is not None


def test_a_misspelt_setting_is_named(caplog: pytest.LogCaptureFixture) -> None:
    web.configure({"URL": "", "ALOW": "read"})
    assert caplog.messages == ["unknown z4j setting ALOW ignored; check its spelling"]


def test_settings_that_are_none_are_a_fault_and_no_exception() -> None:
    web.configure(5)  # type: ignore[arg-type]
    assert faults.by_operation["the framework's settings"] == (1, "AttributeError")


# -- the route ---------------------------------------------------------------------------------------------------------
def test_the_route_belongs_to_its_context() -> None:
    def served(pattern: Any) -> str:
        web_route.set_route(pattern)
        return hooks.route()

    assert contextvars.copy_context().run(served, "POST /orders/<id>") == "POST /orders/<id>"
    assert contextvars.copy_context().run(served, lambda: "GET /late") == "GET /late"
    assert len(contextvars.copy_context().run(served, "x" * 300)) == web_route.LONGEST
    assert hooks.route() == ""


def test_a_route_that_cannot_be_read_is_none() -> None:
    def read() -> str:
        raise LookupError("no such route")

    def served() -> str:
        web_route.set_route(read)
        return hooks.route()

    assert contextvars.copy_context().run(served) == ""
    assert faults.by_operation["reading the web route"] == (1, "LookupError")


# -- serving -----------------------------------------------------------------------------------------------------------
def test_import_alone_does_not_connect_and_the_first_request_does(gateway: Any, tmp_path: Path, until: Any) -> None:
    web.serving()  # z4j is off
    web.configure({"URL": gateway.url, "SPOOL": tmp_path})
    agent = z4j_agent.start()
    assert agent is not None
    web.stopped()  # nothing was served: nothing to say goodbye to
    assert not agent.is_connected_process
    web.serving()
    web.serving()
    assert agent.is_connected_process
    until(lambda: gateway.hellos)
    assert [hello["pid"] for hello in gateway.hellos] == [os.getpid()]
    web.stopped()
    assert not agent.is_connected_process
    until(lambda: gateway.frames_of("goodbye"))


def test_two_first_requests_at_once_make_one_connection(gateway: Any, tmp_path: Path, until: Any) -> None:
    agent = z4j_agent.start(url=gateway.url, spool=tmp_path)
    assert agent is not None
    ready = threading.Barrier(8)

    def serve() -> None:
        ready.wait()
        agent.connect()

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: gateway.hellos)
    agent.connect()
    assert agent.flush(5)
    assert len(gateway.hellos) == 1
    assert sum(thread.name == "z4j-agent" and thread.is_alive() for thread in threading.enumerate()) == 1
