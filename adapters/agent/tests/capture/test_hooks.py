# SPDX-License-Identifier: Apache-2.0
"""What the hooks of every adapter share."""

from __future__ import annotations

import logging
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent.capture import hooks
from z4j_agent.capture.guard import faults
from z4j_agent.contract.adapter import Adapter
from z4j_agent.wire.task_signatures import redact_signature

URL = "z4j+ws://tok." + "A" * 43 + "@127.0.0.1:9"


class Shop(Adapter):
    engine = "shop"

    def install(self) -> None:
        pass

    def uninstall(self) -> None:
        pass


def test_now_is_microseconds() -> None:
    assert abs(hooks.now() - time.time() * 1_000_000) < 1_000_000


def test_the_calling_code_is_the_first_that_is_not_skipped() -> None:
    def here(skipped: frozenset[str], **options: Any) -> str:
        return hooks.calling_code(skipped, **options)

    package = __name__.partition(".")[0]
    assert here(frozenset()).startswith(f"{__name__}:")
    assert not here(frozenset({package})).startswith(f"{package}.")
    assert (
        here(
            frozenset({package, "_pytest", "pluggy", "pytest", "runpy", "coverage"}),
            commands=("/pytest/__main__.py", "/coverage/__main__.py"),
        )
        == ""
    )


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_errors_in_words() -> None:
    assert hooks.text_of(ValueError("x" * 20_000)) == "x" * hooks.TRACEBACK_LIMIT
    assert hooks.text_of(Mute()) == "(its message cannot be shown)"

    def sink(error: Exception) -> tuple[str, str, str]:
        try:
            raise error
        except Exception as caught:
            return hooks.error_of(caught)

    kind, message, lines = sink(ValueError("password=hunter2 is wrong"))
    assert kind == "ValueError"
    assert "hunter2" not in message + lines
    assert "in sink" in lines
    assert sink(Mute())[:2] == ("Mute", "(its message cannot be shown)")


def test_a_traceback_that_cannot_be_made_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: BaseException) -> list[str]:
        raise RecursionError

    monkeypatch.setattr(hooks.traceback, "format_exception", fail)
    assert hooks.error_of(ValueError("odd")) == ("ValueError", "odd", "")


def test_names_and_signatures() -> None:
    def ship(order: int, /, user: str, *rest: str, password: str = "") -> None:
        """Sends it.

        And more.
        """

    assert hooks.parameter_names(ship) == ("order", "user")
    assert hooks.signature_of(ship)[0].startswith("(order: ")
    assert hooks.signature_of(ship, passed=1)[0].startswith("(user: ")
    assert hooks.signature_of(ship, passed=3)[0].startswith("(*rest: ")
    assert hooks.signature_of(ship)[1] == "Sends it."
    assert hooks.parameter_names(dict.fromkeys.__call__) in ((), ("args",), ("self",))
    unreadable: Callable[..., Any] = type("Odd", (), {"__call__": None, "__signature__": "none"})()
    assert hooks.parameter_names(unreadable) == ()
    assert hooks.signature_of(unreadable)[0] == "(…)"


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], hooks.Installation]:
    """Gives the installation of an engine of that version; of an engine without a version where it is ""."""

    def make(version: str) -> hooks.Installation:
        module = types.ModuleType("shop_engine")
        vars(module).update({"VERSION": version} if version else {})
        monkeypatch.setitem(sys.modules, "shop_engine", module)
        return hooks.Installation("Shop", "shop_engine:VERSION", (2, 0), lambda: lambda target: Shop())

    return make


def test_an_engine_that_is_too_old_stays_unwatched(
    installation: Callable[[str], hooks.Installation], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    shops = installation("1.9.4")
    shops.install(url=URL)
    assert shops.part_for() is None
    assert "Shop 1.9.4 is older than the oldest supported version 2.0" in caplog.text
    assert z4j_agent.current() is None


def test_install(installation: Callable[[str], hooks.Installation], tmp_path: Path) -> None:
    shops = installation("2.0")
    shops.install()  # z4j is off
    assert shops.part_for() is None
    shops = installation("")
    shops.install(url=URL)
    assert shops.part_for() is None
    assert faults.by_operation["install"] == (1, "AttributeError")
    shops = installation("2.0rc1")
    shops.install(url=URL, spool=tmp_path)
    adapter = shops.part_for()
    assert isinstance(adapter, Shop)
    agent = z4j_agent.current()
    assert agent is not None
    assert agent.adapters == (adapter,)


def defined(path: str, names: dict[str, object], code: str) -> dict[str, object]:
    """The names that the code of a file defines, as if it stood at that path."""
    exec(compile(code, path, "exec"), names)
    return names


@pytest.mark.parametrize("package", ["sentry_sdk", "unknown_apm"])
def test_a_library_that_wraps_the_engines_calls_is_not_the_caller(package: str) -> None:
    wrapper = defined(f"/env/site-packages/{package}/patch.py", {"__name__": f"{package}.patch"}, "def wrap(call):\n    return call()\n")
    code = "\n\nfound = wrap(lambda: hooks.calling_code(frozenset(), depth=2))"
    caller = defined("/srv/shop/orders.py", {"__name__": "shop.orders", "wrap": wrapper["wrap"], "hooks": hooks}, code)
    assert caller["found"] == "shop.orders:3"


def test_an_installed_application_is_the_caller() -> None:
    """Its own entry point, which is not installed, stands far above it."""
    handle = "def handle(call, depth):\n    return handle(call, depth - 1) if depth else call()\n"
    framework = defined("/env/site-packages/framework.py", {"__name__": "framework"}, handle)
    view = "def view():\n    return hooks.calling_code(frozenset(), depth=1)\nfound = handle(view, 9)"
    names = {"__name__": "pretalx.mail", "hooks": hooks, "handle": framework["handle"]}
    assert defined("/env/site-packages/pretalx/mail.py", names, view)["found"] == "pretalx.mail:2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("(user: str = 'ada', password: str = 'hunter2')", "(user: str = 'ada', password: str = '•••')"),
        ("(*, dsn='postgres://a:hunter2@h/x', n: int = 3) -> None", "(*, dsn='•••', n: int = 3) -> None"),
        ("(conf={'token': 'hunter2', 'n': 1}, **kw)", "(conf={'token': '•••', 'n': 1}, **kw)"),
        ("(client=Client(api_key='hunter2', url='http://ok'))", "(client=Client(api_key='•••', url='http://ok'))"),
        ("(key: Literal['Bearer abcdefgh12345678'] = None)", "(key: Literal['•••'] = None)"),
        ("(token: bytes = b'hunter2', ünï: str = 'ä')", "(token: bytes = '•••', ünï: str = 'ä')"),
        ("(api_token: str = 'hunter2', b=<object object at 0x1>)", "(api_token: str = '•••', b=<object object at 0x1>)"),
        ("(password: str = 'hunter", "(password: str = '•••'"),
        (
            "(has_password: bool = True, n_tokens: int = 5, name='password')",
            "(has_password: bool = True, n_tokens: int = 5, name='password')",
        ),
    ],
)
def test_defaults_of_a_signature_are_masked(text: str, shown: str) -> None:
    assert redact_signature(text) == shown
    assert redact_signature(shown) == shown


def test_a_function_is_described_without_its_secrets() -> None:
    def sign_in(user: str, password: str = "hunter2-of-the-shop", colour: str = "red") -> None: ...

    sign_in.__doc__ = "Signs in with password=hunter2-of-the-shop."
    signature, doc = hooks.signature_of(sign_in)
    assert "hunter2" not in signature + doc
    assert "colour: 'str' = 'red'" in signature
    assert doc.startswith("Signs in with password=•••")


def test_the_agents_thread_does_not_use_a_sleep_that_the_host_has_replaced(gateway: Any, monkeypatch: Any) -> None:
    """A test of an application that replaces `time.sleep` counts the calls, and its stand-in seldom waits."""
    called: list[str] = []
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: called.append(f"{threading.current_thread().name} {seconds}"))
    agent = z4j_agent.start(url=gateway.url)
    assert agent is not None
    agent.connect()
    for _ in range(200):
        sleep(0.05)
        if gateway.hellos:
            break
    gateway.stop()
    sleep(1.0)
    assert gateway.hellos
    assert [call for call in called if not call.startswith("MainThread ")] == [], "the end of the test's own server sleeps, too"


def test_a_fire_is_reported_as_it_came_out(tmp_path: Path) -> None:
    hooks.report_fire("arq_cron", "nightly", 5)  # without an agent nothing happens
    agent = z4j_agent.start(url="z4j://t@127.0.0.1:9", spool=tmp_path)
    assert agent is not None
    reported: list[tuple[Any, ...]] = []
    agent.fired = lambda *args, **more: reported.append((*args, more))  # type: ignore[method-assign]
    hooks.report_fire("arq_cron", "nightly", 5, "id-1")
    hooks.report_fire("arq_cron", "nightly", None, error=ValueError("no pw=hunter2hunter2"))
    hooks.report_fire("arq_cron", "nightly", 5, outcome="skipped", why="it was cancelled")
    assert reported == [
        ("arq_cron", "nightly", 5, {"task_id": "id-1", "outcome": "sent", "error": ""}),
        ("arq_cron", "nightly", None, {"outcome": "failed", "error": "ValueError: no pw=•••"}),
        ("arq_cron", "nightly", 5, {"task_id": "", "outcome": "skipped", "error": "it was cancelled"}),
    ]


@pytest.mark.parametrize("skipped", [{"nothing"}, ("nothing",), ["nothing"], frozenset({"nothing"})])
def test_the_calling_code_takes_any_collection_of_packages(skipped: Any) -> None:
    """Adapters of third parties call it, too."""
    assert hooks.calling_code(skipped, depth=1).startswith(f"{__name__}:")
