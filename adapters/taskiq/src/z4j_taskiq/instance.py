# SPDX-License-Identifier: Apache-2.0
"""One method of one broker object, replaced on the object and given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Replaced:
    """While it is on, `broker.<name>(…)` calls `around(original, …)`. `original` is looked up at each call, unless the object has one of
    its own: another library may patch the class later."""

    def __init__(self, broker: Any, name: str, around: Callable[..., Any]) -> None:
        self._broker, self._name, self._around = broker, name, around
        self._own: Any = None
        self._ours: Callable[..., Any] | None = None

    def put(self) -> None:
        """Does nothing where it is in place already."""
        if self._ours is not None:
            return
        broker, name, own = self._broker, self._name, vars(self._broker).get(self._name)

        def replaced(*args: Any, **kwargs: Any) -> Any:
            original = own if own is not None else getattr(type(broker), name).__get__(broker)
            return self._around(original, *args, **kwargs) if self._ours is replaced else original(*args, **kwargs)

        self._own, self._ours = own, replaced
        setattr(broker, name, replaced)

    def undo(self) -> None:
        """As it was. What another has put on since stays, and what it holds of ours does nothing any more."""
        ours, self._ours = self._ours, None
        if ours is None or vars(self._broker).get(self._name) is not ours:
            return
        if self._own is None:
            delattr(self._broker, self._name)
        else:
            setattr(self._broker, self._name, self._own)
