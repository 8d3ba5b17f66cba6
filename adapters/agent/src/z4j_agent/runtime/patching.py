# SPDX-License-Identifier: Apache-2.0
"""Methods of an engine that are called through ours while an adapter is installed.

Each patched method has one wrapper, however many adapters, apps or brokers have asked for it, so that they may be removed in any order.
A wrapper is removed only where it is still in place. What another library has put over it stays, and ours underneath then passes every
call on. So nothing that another library did is undone, and nothing of ours acts after `restore`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

Method = Callable[..., Any]
_MISSING: Final = object()


class Patches:
    """What one adapter, or one part of it, has patched. May be used again after `restore`."""

    def __init__(self) -> None:
        self._layers: list[tuple[_Patched, Callable[[Method], Method]]] = []
        self._values: list[tuple[Any, str, Any, Any]] = []
        """Owner, name, what was set, and what the owner itself had before."""

    def wrap(self, owner: Any, name: str, make: Callable[[Method], Method]) -> bool:
        """From now on `owner.name` calls what `make(original)` returns. Returns False where there is no such method.

        `owner` is a class, a module or an object. Class methods and static methods stay what they are; of a class method, the class is the
        first argument. Of an object without a method of its own, the class's is looked up at each call: another library may patch the class
        later. `make` may be called again when another adapter patches the same method.
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
        """The same with `call(original, *args, **kwargs)`. What `call` raises goes to the host."""
        return self.wrap(owner, name, lambda original: functools.partial(call, original))

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute; `restore` sets back what the owner itself had, unless somebody has set another value since."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)
        self._values.append((owner, name, value, before))

    def restore(self) -> None:
        """Undoes everything, the last first. What another library has put on since stays."""
        while self._layers:
            patched, make = self._layers.pop()
            patched.remove(make)
        while self._values:
            owner, name, value, before = self._values.pop()
            if vars(owner).get(name, _MISSING) is value:
                _put_back(owner, name, before)


class _Patched:
    """One method with our wrapper over it, and what the wrapper calls: the original through every layer, the newest outermost."""

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
"""All that are in place, or lie under another library's wrapper: that library may put ours back as it found it; then it is used again."""


def _passing(patched: _Patched, *, is_coroutine: bool) -> Method:
    """What stands in the method's place. Libraries ask whether a method is a coroutine function, so it is one where the original is."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return patched.call(*args, **kwargs)

    async def waiting_wrapper(*args: Any, **kwargs: Any) -> Any:
        return await patched.call(*args, **kwargs)

    if not is_coroutine:
        return wrapper
    mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12; it saves a frame in every traceback
    return waiting_wrapper if mark is None else mark(wrapper)


def _late(owner: Any, name: str) -> Method:
    """The method that the object's class has at each call."""

    def original(*args: Any, **kwargs: Any) -> Any:
        for kind in type(owner).__mro__:
            if name in vars(kind):
                return vars(kind)[name].__get__(owner, type(owner))(*args, **kwargs)
        raise AttributeError(name, name=name, obj=owner)

    return original


def _put_back(owner: Any, name: str, before: Any) -> None:
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)
