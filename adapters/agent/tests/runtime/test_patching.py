# SPDX-License-Identifier: Apache-2.0
"""Methods of others are called through ours, and are given back whatever another library has done since."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import types
from collections.abc import Callable
from typing import Any

import pytest

from z4j_agent.runtime.patching import Patches

Calls = list[str]


def noting(calls: Calls, word: str) -> Callable[..., Any]:
    def call(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        calls.append(word)
        return original(*args, **kwargs)

    return call


def by_another_library(owner: Any, name: str, calls: Calls) -> Callable[..., Any]:
    """The usual way: what is there is wrapped and replaced."""
    theirs = getattr(owner, name)

    @functools.wraps(theirs)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls.append("theirs")
        return theirs(*args, **kwargs)

    setattr(owner, name, wrapper)
    return wrapper


def engine() -> Any:
    class Engine:
        def run(self, number: int) -> int:
            """Runs."""
            return number + 1

        async def wait(self, number: int) -> int:
            return number + 2

        @classmethod
        def made(cls, number: int) -> tuple[type, int]:
            return cls, number

        @staticmethod
        def fixed(number: int) -> int:
            return number + 3

    return Engine


def test_a_method_of_a_class_is_called_through_ours_and_given_back() -> None:
    kind, calls, patches = engine(), Calls(), Patches()
    before = vars(kind)["run"]
    assert patches.around(kind, "run", noting(calls, "ours"))
    assert (kind().run(1), kind().run(number=2)) == (2, 3)
    assert calls == ["ours", "ours"]
    assert (kind.run.__name__, kind.run.__doc__) == ("run", "Runs.")
    assert list(inspect.signature(kind.run).parameters) == ["self", "number"]
    patches.restore()
    assert vars(kind)["run"] is before
    patches.restore()
    assert vars(kind)["run"] is before


def test_other_kinds_of_methods_stay_what_they_are() -> None:
    kind, calls, patches = engine(), Calls(), Patches()
    before = {name: vars(kind)[name] for name in ("wait", "made", "fixed")}
    below = type("Below", (kind,), {})
    for name in before:
        assert patches.around(kind, name, noting(calls, name))
    assert inspect.iscoroutinefunction(kind.wait)
    assert asyncio.run(kind().wait(1)) == 3
    assert (kind.made(1), below.made(2), below().made(3)) == ((kind, 1), (below, 2), (below, 3))
    assert (kind.fixed(1), kind().fixed(2)) == (4, 5)
    assert calls == ["wait", "made", "made", "made", "fixed", "fixed"]
    patches.restore()
    assert {name: vars(kind)[name] for name in before} == before


def test_an_inherited_method_is_patched_for_that_class_alone() -> None:
    kind, calls, patches = engine(), Calls(), Patches()
    below = type("Below", (kind,), {})
    assert patches.around(below, "run", noting(calls, "below"))
    assert patches.around(below, "made", noting(calls, "below"))
    assert (kind().run(1), kind.made(1)) == (2, (kind, 1))
    assert calls == []
    assert (below().run(1), below.made(1)) == (2, (below, 1))
    assert calls == ["below", "below"]
    patches.restore()
    assert not {"run", "made"} & set(vars(below))


def test_a_missing_method_is_no_mistake() -> None:
    kind, patches = engine(), Patches()
    assert not patches.around(kind, "walk", noting([], ""))
    assert not patches.around(kind(), "walk", noting([], ""))
    patches.restore()
    assert "walk" not in vars(kind)


def test_a_function_of_a_module() -> None:
    module, calls, patches = types.ModuleType("theirs"), Calls(), Patches()
    module.double = before = lambda number: number * 2  # type: ignore[attr-defined]
    patches.around(module, "double", noting(calls, "ours"))
    assert (module.double(4), calls) == (8, ["ours"])
    patches.restore()
    assert module.double is before


def test_of_an_object_the_method_is_looked_up_at_each_call() -> None:
    kind, calls, patches = engine(), Calls(), Patches()
    watched, other = kind(), kind()
    patches.around(watched, "run", noting(calls, "ours"))
    patches.around(watched, "fixed", noting(calls, "ours"))
    kind.run = lambda self, number: -number
    assert (watched.run(5), watched.fixed(1), other.run(6), calls) == (-5, 4, -6, ["ours", "ours"])
    patches.restore()
    assert vars(watched) == {}


def test_an_object_keeps_a_method_of_its_own() -> None:
    watched, calls, patches = engine()(), Calls(), Patches()
    watched.run = own = lambda number: number * 10
    patches.around(watched, "run", noting(calls, "ours"))
    assert (watched.run(5), calls) == (50, ["ours"])
    patches.restore()
    assert watched.run is own


@pytest.mark.parametrize("of_object", [False, True])
def test_what_another_library_put_on_later_stays_and_ours_passes_on(of_object: bool) -> None:
    kind, calls, patches = engine(), Calls(), Patches()
    owner = kind() if of_object else kind
    run = (lambda: owner.run(1)) if of_object else lambda: kind().run(1)
    patches.around(owner, "run", noting(calls, "ours"))
    theirs = by_another_library(owner, "run", calls)
    assert (run(), calls) == (2, ["theirs", "ours"])
    patches.restore()
    assert vars(owner)["run"] is theirs
    calls.clear()
    assert (run(), calls) == (2, ["theirs"])
    patches.around(owner, "run", noting(calls, "ours"))  # installed again
    calls.clear()
    assert (run(), calls) == (2, ["ours", "theirs"])
    patches.restore()
    assert vars(owner)["run"] is theirs


def test_ours_is_used_again_where_another_library_puts_it_back() -> None:
    kind, calls, patches = engine(), Calls(), Patches()
    before = vars(kind)["run"]
    patches.around(kind, "run", noting(calls, "first"))
    ours = vars(kind)["run"]
    by_another_library(kind, "run", calls)
    patches.restore()
    patches.around(kind, "run", noting(calls, "second"))
    patches.restore()
    kind.run = ours  # as they found it
    patches.around(kind, "run", noting(calls, "third"))
    assert (vars(kind)["run"], kind().run(1), calls) == (ours, 2, ["third"])
    patches.restore()
    assert vars(kind)["run"] is before


def test_another_librarys_proxy_of_a_class_method_goes_on_being_called() -> None:
    calls = Calls()

    class Proxy:
        """As `wrapt` makes them: it says it is a classmethod, and its `__func__` is that of what it wraps."""

        def __init__(self, wrapped: Any) -> None:
            self.wrapped, self.__func__ = wrapped, wrapped.__func__

        @property  # type: ignore[misc]
        def __class__(self) -> type:
            return classmethod

        def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                calls.append("theirs")
                return self.wrapped.__get__(instance, owner)(*args)

            return call

    kind, patches = engine(), Patches()
    kind.made = proxy = Proxy(vars(kind)["made"])
    patches.around(kind, "made", noting(calls, "ours"))
    assert (kind.made(1), calls) == ((kind, 1), ["ours", "theirs"])
    patches.restore()
    assert vars(kind)["made"] is proxy


def test_what_is_given_back_while_it_runs_ends_as_it_began() -> None:
    kind, calls, patches = engine(), Calls(), Patches()

    def leaving(original: Callable[..., Any], *args: Any) -> Any:
        patches.restore()
        return original(*args)

    patches.around(kind, "run", noting(calls, "inner"))
    patches.around(kind, "run", leaving)
    assert (kind().run(1), calls) == (2, ["inner"])
    assert (kind().run(1), calls) == (2, ["inner"])


def test_what_make_raises_leaves_the_method_alone() -> None:
    kind, patches = engine(), Patches()
    before = vars(kind)["run"]

    def fail(_original: Callable[..., Any]) -> Callable[..., Any]:
        raise LookupError("no")

    with pytest.raises(LookupError):
        patches.wrap(kind, "run", fail)
    assert vars(kind)["run"] is before
    patches.restore()
    assert (vars(kind)["run"], kind().run(1)) == (before, 2)


def test_a_value_is_set_back_unless_somebody_set_another() -> None:
    class Owner:
        pace = 5

    first, second, third, patches = Owner(), Owner(), Owner(), Patches()
    second.pace = 7
    for owner in (first, second, third):
        patches.set(owner, "pace", 1)
    third.pace = 9
    patches.restore()
    assert (vars(first), second.pace, third.pace) == ({}, 7, 9)


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_installing_removing_and_other_libraries(seed: int) -> None:
    """Whatever the order: the original is called once, everything of theirs always, everything of ours exactly while it is installed."""
    choice, kind, calls = random.Random(seed), engine(), Calls()
    before, installed, theirs = vars(kind)["run"], dict[str, Patches](), 0
    for number in range(30):
        step = choice.choice(("install", "install", "remove", "remove", "theirs"))
        if step == "install":
            patches = installed[f"ours{number}"] = Patches()
            patches.around(kind, "run", noting(calls, f"ours{number}"))
        elif step == "remove" and installed:
            installed.pop(choice.choice(sorted(installed))).restore()
        elif step == "theirs" and theirs < 3 and choice.random() < 0.3:
            by_another_library(kind, "run", calls)
            theirs += 1
        calls.clear()
        assert kind().run(1) == 2
        assert sorted(calls) == sorted([*installed, *["theirs"] * theirs])
    for patches in installed.values():
        patches.restore()
    calls.clear()
    assert (kind().run(1), calls) == (2, ["theirs"] * theirs)
    if not theirs:
        assert vars(kind)["run"] is before
