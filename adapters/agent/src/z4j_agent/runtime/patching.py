# SPDX-License-Identifier: Apache-2.0
"""Wraps methods of an engine while an adapter is installed.

Each patched method has one wrapper for all adapters, apps and brokers, so that they may be removed in any order. A wrapper is only
removed if it is still in place. A later wrapper of another library stays, and z4j's below it then passes every call on. So no patch of
another library is undone, and no wrapper of z4j acts after `restore`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

Method = Callable[..., Any]
_MISSING: Final = object()


class Patches:
    """The patches of one adapter, or of one part of it. May be used again after `restore`."""

    def __init__(self) -> None:
        self._layers: list[tuple[_Patched, Callable[[Method], Method]]] = []
        self._values: list[tuple[Any, str, Any, Any]] = []
        """Owner, name, the value that was set, and the owner's value before."""

    def wrap(self, owner: Any, name: str, make: Callable[[Method], Method]) -> bool:
        """Makes `owner.name` call the result of `make(original)`. Returns False if there is no such method.

        `owner` is a class, a module or an object. Class methods and static methods keep their kind; for a class method, the class is the
        first argument. For an object without a method of its own, the class's method is looked up at each call: another library may
        patch the class later. `make` may be called again when another adapter patches the same method.
        """
        if inspect.getattr_static(owner, name, None) is None:
            return False
        patched = next((each for each in _patched if each.is_in_place_of(owner, name)), None)
        if patched is None:
            patched = _Patched(owner, name)
        patched.add(make)
        self._layers.append((patched, make))
        return True

    def around(self, owner: Any, name: str, call: Method) -> bool:
        """The same with `call(original, *args, **kwargs)`. Exceptions of `call` reach the application."""
        return self.wrap(owner, name, lambda original: functools.partial(call, original))

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute; `restore` restores the owner's value, unless other code has set another value since."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)
        self._values.append((owner, name, value, before))

    def restore(self) -> None:
        """Undoes all patches, the last first. Later wrappers of other libraries stay."""
        while self._layers:
            patched, make = self._layers.pop()
            patched.remove(make)
        while self._values:
            owner, name, value, before = self._values.pop()
            if vars(owner).get(name, _MISSING) is value:
                _put_back(owner, name, before)


class _Patched:
    """One method with its wrapper, which calls the original through every layer, the newest outermost."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._before = vars(owner).get(name, _MISSING)
        self._layers: tuple[Callable[[Method], Method], ...] = ()
        self._original = self.call = self._find_original()
        self._wrapper: Any = _MISSING

    def _find_original(self) -> Method:
        owner, name = self._owner, self._name
        if not isinstance(owner, type):
            return _late(owner, name) if self._before is _MISSING else getattr(owner, name)
        attribute = inspect.getattr_static(owner, name)
        if type(attribute) is classmethod:
            return attribute.__func__
        if isinstance(attribute, classmethod):  # another library's proxy of one
            return lambda cls, *args, **kwargs: attribute.__get__(None, cls)(*args, **kwargs)
        return getattr(owner, name)  # type: ignore[no-any-return]

    def is_in_place_of(self, owner: Any, name: str) -> bool:
        return owner is self._owner and name == self._name and vars(owner).get(name) is self._wrapper

    def add(self, make: Callable[[Method], Method]) -> None:
        self._set((*self._layers, make))
        if self._wrapper is _MISSING:
            self._wrapper = self._wrap()
            setattr(self._owner, self._name, self._wrapper)
            _patched.append(self)

    def remove(self, make: Callable[[Method], Method]) -> None:
        self._set(tuple(layer for layer in self._layers if layer is not make))
        if not self._layers and self.is_in_place_of(self._owner, self._name):
            _put_back(self._owner, self._name, self._before)
            _patched.remove(self)

    def _set(self, layers: tuple[Callable[[Method], Method], ...]) -> None:
        call = self._original
        for make in layers:
            call = make(call)
        self._layers, self.call = layers, call

    def _wrap(self) -> Any:
        looked_up = getattr(self._owner, self._name)
        attribute = inspect.getattr_static(self._owner, self._name)
        wrapper = _passing(self, is_coroutine=inspect.iscoroutinefunction(looked_up))
        functools.update_wrapper(wrapper, getattr(looked_up, "__func__", looked_up))
        if isinstance(self._owner, type):
            for kind in (classmethod, staticmethod):
                if isinstance(attribute, kind):
                    return kind(wrapper)
        return wrapper


_patched: list[_Patched] = []
"""All wrappers that are in place, or below another library's wrapper: that library may restore z4j's wrapper, which is then used again."""


def _passing(patched: _Patched, *, is_coroutine: bool) -> Method:
    """The wrapper of the method. Libraries check whether a method is a coroutine function, so it is one if the original is."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return patched.call(*args, **kwargs)

    async def waiting_wrapper(*args: Any, **kwargs: Any) -> Any:
        return await patched.call(*args, **kwargs)

    if not is_coroutine:
        return wrapper
    mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12; it saves a frame in every traceback
    return waiting_wrapper if mark is None else mark(wrapper)


def _late(owner: Any, name: str) -> Method:
    """The object's class's method at each call."""

    def original(*args: Any, **kwargs: Any) -> Any:
        for kind in type(owner).__mro__:
            attributes = kind.__dict__
            if name in attributes:
                attribute = attributes[name]
                if type(attribute) is FunctionType:  # nearly always: it need not be bound first
                    return attribute(owner, *args, **kwargs)
                return attribute.__get__(owner, type(owner))(*args, **kwargs)
        raise AttributeError(name, name=name, obj=owner)

    return original


def _put_back(owner: Any, name: str, before: Any) -> None:
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)
