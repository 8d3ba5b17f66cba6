# SPDX-License-Identifier: Apache-2.0
"""What `install` and `uninstall` of every package must do, repeatedly in one process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ClassVar

import pytest

import z4j_agent
from z4j_agent.conformance.brokers.two_brokers import OwnGateway
from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import Harness, wait_for

LEAVING = ("uninstall", "stop")
Attribute = tuple[int, str]
"""Index of the owner, and the name of its attribute."""


class InstallContract(OwnGateway):
    """Subclass it with the package and two methods; the name must begin with `Test`. If the package reports tasks, subclass
    `ReportingInstallContract` instead. The application's own use of the engine happens in the process of the test."""

    package: ClassVar[ModuleType]

    # -- to be written per engine --------------------------------------------------------------------------------------
    def target(self, harness: Harness) -> Any:
        """The argument of `install`: a new object of the engine, None if the package monitors the whole process. `harness` can start a
        broker."""
        raise NotImplementedError

    def owners(self, target: Any) -> list[Any]:
        """The classes, modules and objects of the engine that may be patched, all of them."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes connections of `target`. The agent no longer uses it."""

    # -- fixtures ------------------------------------------------------------------------------------------------------
    @pytest.fixture
    def made(self, gateway: Gateway, tmp_path: Path) -> Iterator[Any]:
        """The target. It is not installed yet."""
        harness = Harness(tmp_path, gateway.url)
        try:
            target = self.target(harness)
            self._owners = self.owners(target)
            yield target
        finally:
            self.package.uninstall()
            z4j_agent.stop(0.1)
            self.close()
            harness.tear_down()

    @pytest.fixture
    def install(self, made: Any, gateway: Gateway, tmp_path: Path) -> Callable[[], None]:
        given = () if made is None else (made,)
        return lambda: self.package.install(*given, url=gateway.url, spool=tmp_path / "spool", environment="test", allow="all")

    def leave(self, how: str) -> None:
        if how == "stop":
            z4j_agent.stop()
        else:
            self.package.uninstall()

    # -- the contract---------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("how", LEAVING)
    def test_the_engine_is_as_it_was_when_we_have_left(self, how: str, made: Any, install: Callable[[], None]) -> None:
        before = self._state()
        for _ in range(2):
            install()
            assert _differing(before, self._state()), "nothing is monitored"
            self.leave(how)
            assert _differing(before, self._state()) == []

    @pytest.mark.parametrize("how", LEAVING)
    def test_what_another_library_put_on_later_stays(self, how: str, made: Any, install: Callable[[], None], gateway: Gateway) -> None:
        owners, before, called = self._owners, self._attributes(), list[str]()
        install()
        after = self._attributes()
        patched = [attribute for attribute in after if after[attribute] is not before.get(attribute) and _is_method(after[attribute])]
        try:
            theirs = {(number, name): _wrap(owners[number], name, called) for number, name in patched}
            for _ in range(2):
                self.leave(how)
                self.check_silent(made, gateway, called)
                assert [attribute for attribute in patched if self._attributes()[attribute] is not theirs[attribute]] == []
                install()
                self.check_reported(made, gateway)
            self.leave(how)
            now = self._attributes()
            assert [name for number, name in patched if now[number, name] is not theirs[number, name]] == []
        finally:
            for number, name in patched:
                if (number, name) in before:
                    setattr(owners[number], name, before[number, name])
                else:
                    delattr(owners[number], name)

    @pytest.mark.parametrize("how", LEAVING)
    def test_the_agent_asks_what_is_installed_and_nothing_else(self, how: str, install: Callable[[], None]) -> None:
        for _ in range(2):
            install()
            install()
            parts = _parts()
            assert len({(type(part), part.engine) for part in parts}) == len(parts) > 0
            self.leave(how)
            assert _parts() == []

    # -- for subclasses ------------------------------------------------------------------------------------------------
    def check_reported(self, made: Any, gateway: Gateway) -> None:
        """Checks that an action of the application is reported once."""

    def check_silent(self, made: Any, gateway: Gateway, called: list[str]) -> None:
        """Checks that it is not reported. `called` contains the names of methods that were called through another library's wrapper."""

    # -- reading -------------------------------------------------------------------------------------------------------
    def _attributes(self) -> dict[Attribute, Any]:
        return {(number, name): value for number, owner in enumerate(self._owners) for name, value in vars(owner).items()}

    def _state(self) -> dict[Attribute, Any]:
        """Whether two values are the same; lists and dicts are compared by content."""
        return {attribute: _frozen(value) for attribute, value in self._attributes().items()}


class ReportingInstallContract(InstallContract):
    """The same for a package that reports tasks."""

    is_enqueueing_patched: ClassVar[bool] = True
    """Whether enqueueing uses a patched method: not if the engine has hooks for it."""

    def enqueue(self, target: Any) -> str:
        """Enqueues one task and returns its id, as its records have it."""
        raise NotImplementedError

    @pytest.mark.parametrize("how", LEAVING)
    def test_installed_again_it_reports_again(self, how: str, made: Any, install: Callable[[], None], gateway: Gateway) -> None:
        install()
        install()
        self.check_reported(made, gateway)
        for _ in range(2):
            self.leave(how)
            self.check_silent(made, gateway, ["theirs"])
            install()
            self.check_reported(made, gateway)

    def check_reported(self, made: Any, gateway: Gateway) -> None:
        task_id = self.enqueue(made)
        agent = z4j_agent.current()
        assert agent is not None
        agent.connect()
        wait_for(lambda: gateway.records(task_id), "it is reported")
        assert agent.flush(10)
        kinds = [record.kind for record in gateway.records(task_id)]
        assert kinds.count("enqueued") == 1, kinds

    def check_silent(self, made: Any, gateway: Gateway, called: list[str]) -> None:
        silent = self.enqueue(made)
        assert called or not self.is_enqueueing_patched, "another library's wrapper is no longer called"
        agent = z4j_agent.current()
        assert agent is None or agent.flush(10) or not agent.is_connected_process
        assert gateway.records(silent) == []


def _parts() -> list[Any]:
    agent = z4j_agent.current()
    return [] if agent is None else [*agent.adapters, *agent.schedulers]


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((key, id(each)) for key, each in value.items())
    return tuple(id(each) for each in value) if isinstance(value, list | set) else value


def _differing(before: dict[Attribute, Any], after: dict[Attribute, Any]) -> list[Attribute]:
    missing = object()

    def is_same(one: Any, other: Any) -> bool:
        return one is other or (isinstance(one, tuple) and isinstance(other, tuple) and one == other)

    return [attribute for attribute in {**before, **after} if not is_same(before.get(attribute, missing), after.get(attribute, missing))]


def _is_method(value: Any) -> bool:
    return isinstance(value, classmethod | staticmethod | FunctionType)


def _wrap(owner: Any, name: str, called: list[str]) -> Any:
    """Wraps and replaces an attribute, like another library. Returns the new value."""
    value = vars(owner)[name]
    kind = type(value) if isinstance(value, classmethod | staticmethod) else None
    inner: Callable[..., Any] = value.__func__ if kind is not None else value

    @functools.wraps(inner)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return inner(*args, **kwargs)

    setattr(owner, name, wrapper if kind is None else kind(wrapper))
    return vars(owner)[name]
