# SPDX-License-Identifier: Apache-2.0
"""Other arguments for a task that runs again. Pure.

An operator edits what is shown, and what is shown is masked. So an edit names only what changes, and wherever the new value still holds
the mask, the original's value at the same place is kept: nobody has to see a secret, or type it, to change what stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from z4j_agent.adapter import Refused
from z4j_agent.redaction import MASK

_NOTHING = object()


def apply_edit(args: list[Any], kwargs: dict[str, Any], edit: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with an edit: {"args": {"0": value, …}, "kwargs": {name: value, …}, "drop": [name, …]}.

    A position one beyond the last adds an argument. Raises Refused where the edit does not fit, or masks what was not there.
    """
    new_args, new_kwargs = list(args), dict(kwargs)
    for position, value in sorted(_mapping(edit, "args").items(), key=lambda item: _position(item[0])):
        index = _position(position)
        if index > len(new_args):
            raise Refused(f"there is no argument before position {index + 1}")
        old = new_args[index] if index < len(new_args) else _NOTHING
        new_args[index : index + 1] = [_unmasked(value, old, f"argument {index + 1}")]
    for name, value in _mapping(edit, "kwargs").items():
        new_kwargs[name] = _unmasked(value, new_kwargs.get(name, _NOTHING), name)
    dropped = edit.get("drop", [])
    for name in dropped if isinstance(dropped, list) else []:
        new_kwargs.pop(name, None)
    return new_args, new_kwargs


def keep_masked(args: list[Any], kwargs: dict[str, Any], old_args: Any, old_kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Whole new arguments, with the old value wherever the new one still holds the mask. Raises Refused where there was none."""
    return _unmasked(args, list(old_args or ()), "args"), _unmasked(kwargs, dict(old_kwargs or {}), "kwargs")


def _mapping(edit: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = edit.get(key, {})
    if not isinstance(found, dict):
        raise Refused("the edit cannot be understood")
    return found


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise Refused("the edit names a position that is no number")
    return int(text)


def _unmasked(new: Any, old: Any, where: str) -> Any:
    if isinstance(new, str) and MASK in new:
        if new != MASK and not isinstance(old, str):
            raise Refused(f"{where} holds a masked piece and is no text in the kept message")
        if old is _NOTHING:
            raise Refused(f"{where} is masked, and the kept message has nothing there")
        return old
    if isinstance(new, dict):
        inner = old if isinstance(old, dict) else {}
        return {key: _unmasked(value, inner.get(key, _NOTHING), f"{where}, {key}") for key, value in new.items()}
    if isinstance(new, list):
        items = old if isinstance(old, list | tuple) else []
        return [_unmasked(value, items[i] if i < len(items) else _NOTHING, f"{where}, item {i + 1}") for i, value in enumerate(new)]
    return new
