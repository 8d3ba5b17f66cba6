# SPDX-License-Identifier: Apache-2.0
"""A package is installed and uninstalled as often as the application likes, also after the agent was stopped."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent.capture.guard import faults
from z4j_agent.capture.hooks import Installation
from z4j_agent.contract.adapter import Adapter
from z4j_agent.contract.scheduler import Scheduler
from z4j_agent.runtime.agent_log import log

URL = "z4j+ws://tok." + "A" * 43 + "@127.0.0.1:9"


class Clock(Scheduler):
    scheduler = engine = "clock"

    def __init__(self) -> None:
        self.is_on = False

    def install(self) -> None:
        self.is_on = True

    def uninstall(self) -> None:
        self.is_on = False


class Shop(Adapter):
    """Watches any number of shops."""

    engine = "shop"
    made: list[Shop]

    def __init__(self, target: Any, *options: Any) -> None:
        self.targets, self.options, self.is_on = [target], list(options), False
        self.schedulers = (Clock(),)
        self.made.append(self)

    def install(self) -> None:
        self.is_on = True

    def uninstall(self) -> None:
        self.is_on = False

    def watch(self, target: Any, *options: Any) -> None:
        self.options += options
        if target not in self.targets:
            self.targets.append(target)

    def unwatch(self, target: Any) -> None:
        self.targets.remove(target)


class Single(Adapter):
    """Watches one shop."""

    engine = "single"

    def __init__(self, target: Any) -> None:
        self.target, self.is_on = target, False

    def install(self) -> None:
        self.is_on = True

    def uninstall(self) -> None:
        self.is_on = False


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("shop")
    module.__version__ = "2.1rc1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop", module)
    monkeypatch.setattr(Shop, "made", [], raising=False)
    yield
    z4j_agent.stop(0.1)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"url": URL, "spool": tmp_path / "spool", "environment": "test"}


def installation(load: Any = Shop, **more: Any) -> Installation:
    return Installation("Shop", "shop:__version__", (2, 0), lambda: load, **more)


def parts() -> list[Any]:
    agent = z4j_agent.current()
    return [] if agent is None else [*agent.adapters, *agent.schedulers]


def test_one_adapter_watches_every_target(settings: dict[str, Any]) -> None:
    shops = installation()
    shops.install("north", "a", **settings)
    shops.install("south", "b", **settings)
    shops.install("north", "c", **settings)
    (only,) = Shop.made
    assert (only.targets, only.options) == (["north", "south"], ["a", "b", "c"])
    assert parts() == [only, *only.schedulers]
    assert shops.part_for("south") is only
    shops.uninstall("north")
    assert (only.targets, only.is_on) == (["south"], True)
    shops.uninstall("north")
    shops.uninstall("south")
    assert (only.is_on, only.schedulers[0].is_on, parts()) == (False, False, [])
    assert z4j_agent.current() is not None, "the agent goes on for others"


def test_without_a_target_every_one_is_left(settings: dict[str, Any]) -> None:
    shops = installation()
    for target in ("north", "south"):
        shops.install(target, **settings)
    shops.uninstall()
    assert (parts(), shops.part_for("north")) == ([], None)


def test_of_an_adapter_that_watches_one_target_there_are_several(settings: dict[str, Any]) -> None:
    shops = installation(Single)
    for target in ("north", "south", "north"):
        shops.install(target, **settings)
    north, south = parts()
    assert (north.target, south.target) == ("north", "south")
    shops.uninstall("north")
    assert (north.is_on, south.is_on, parts()) == (False, True, [south])


@pytest.mark.parametrize("leave", [lambda shops: z4j_agent.stop(0.1), lambda shops: shops.uninstall()])
def test_it_can_be_installed_again(leave: Any, settings: dict[str, Any]) -> None:
    shops = installation()
    for number in range(1, 4):
        shops.install("north", **settings)
        assert len(Shop.made) == number
        assert parts() == [Shop.made[-1], *Shop.made[-1].schedulers]
        assert Shop.made[-1].is_on
        leave(shops)
        assert not Shop.made[-1].is_on
    shops.uninstall("north")
    shops.uninstall()
    assert parts() == []


def test_after_the_agent_was_stopped_nothing_is_uninstalled_twice(settings: dict[str, Any]) -> None:
    shops = installation()
    shops.install("north", **settings)
    z4j_agent.stop(0.1)
    Shop.made[-1].is_on = True  # by another installation, say
    shops.uninstall("north")
    assert Shop.made[-1].is_on


def test_none_may_stand_for_the_usual_target(settings: dict[str, Any]) -> None:
    shops = installation(real=lambda target: target or "usual")
    shops.install(None, **settings)
    shops.install("usual", **settings)
    assert [made.targets for made in Shop.made] == [["usual"]]
    assert shops.part_for() is Shop.made[0]


@pytest.mark.parametrize(("version", "word"), [("1.9", "older than"), ("3.0.1", "only 2.x")])
def test_another_version_is_refused_with_one_line(
    version: str, word: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(log, "error", lambda text, *args: logged.append(text % args))
    monkeypatch.setattr(sys.modules["shop"], "__version__", version)
    installation(newest=2).install("north", **settings)
    assert (Shop.made, parts()) == ([], [])
    assert [word in line for line in logged] == [True]


def test_the_version_may_be_that_of_a_distribution(settings: dict[str, Any]) -> None:
    Installation("Shop", "z4j-agent", (0, 0), lambda: Shop).install("north", **settings)
    assert len(Shop.made) == 1


def test_without_a_connection_string_nothing_is_installed() -> None:
    shops = installation()
    shops.install("north")
    assert (Shop.made[-1].is_on, shops.part_for("north")) == (False, None)


def test_what_fails_reaches_nobody_and_leaves_no_half_behind(settings: dict[str, Any]) -> None:
    class Broken(Shop):
        def install(self) -> None:
            super().install()
            raise LookupError("no such hook")

    def missing() -> Any:
        raise ImportError("no adapter")

    before = faults.total
    shops = installation(Broken)
    shops.install("north", **settings)
    assert (Shop.made[-1].is_on, shops.part_for("north"), parts()) == (False, None, [])
    Installation("Shop", "shop:__version__", (2, 0), missing).install("north", **settings)
    Installation("Shop", "no_such_module:VERSION", (2, 0), missing).install("north", **settings)
    assert faults.total == before + 3
    shops.uninstall(object())
    assert faults.total == before + 3
