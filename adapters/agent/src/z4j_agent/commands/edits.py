# SPDX-License-Identifier: Apache-2.0
"""Other arguments for a task that runs again. Pure.

An operator edits the displayed arguments, in which secrets are masked. So an edit contains only changed values, and where the new value is
still the mask, the original's value is kept (`unmask`), so a secret need not be shown or typed to change another argument.

Dates, times, UUIDs and decimals are shown and edited as text and keep their type: text in the place of a date becomes a date. A value that
names its type, `{"__type__": "date", "__value__": "2026-01-31"}` as in Celery's own JSON, is of that type. A mapping of the application's
own may look like that too: where the name is none of TYPES, it is one, unless it takes the place of a date.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from z4j_agent.capture.originals import MAX_PLAIN_DEPTH, is_plain
from z4j_agent.contract.capabilities import Refused
from z4j_agent.wire.redaction import MASK
from z4j_agent.wire.unmask import ABSENT, CannotUnmask, unmask

TYPES: Final[dict[str, tuple[type, Callable[[str], Any], str]]] = {
    "datetime": (datetime, datetime.fromisoformat, "2026-01-31T09:30:00+00:00"),
    "date": (date, date.fromisoformat, "2026-01-31"),
    "time": (time, time.fromisoformat, "09:30:00"),
    "uuid": (UUID, UUID, "0b6f3e1c-8d0a-4a53-9a53-3c1f5d2e7a10"),
    "decimal": (Decimal, Decimal, "12.50"),
}
"""Name → the type, how it is read from text, and an example."""
_NAMES: Final = {kind: name for name, (kind, _, _) in TYPES.items()}
_TYPED: Final = {"__type__", "__value__"}


def apply_edit(args: list[Any], kwargs: dict[str, Any], edit: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Applies an edit to arguments: {"args": {"0": value, …}, "kwargs": {name: value, …}, "drop": [name, …]}. Returns new arguments; `args`
    and `kwargs` are unchanged.

    A position one beyond the last adds an argument. Raises Refused if the edit does not fit, or masks a value that does not exist."""
    new_args, new_kwargs = list(args), dict(kwargs)
    for position, value in sorted(_mapping(edit, "args").items(), key=lambda item: _position(item[0])):
        index = _position(position)
        if index > len(new_args):
            raise Refused(f"no argument before position {index + 1}")
        old = new_args[index] if index < len(new_args) else ABSENT
        new_args[index : index + 1] = [merge_value(value, old, f"argument {index + 1}")]
    for name, value in _mapping(edit, "kwargs").items():
        if MASK in name and name not in new_kwargs:
            raise Refused(
                f"{name[:80]} is a masked name; an argument with a masked name cannot be edited on its own", check="arguments.masked"
            )
        new_kwargs[name] = merge_value(value, new_kwargs.get(name, ABSENT), name)
    dropped = edit.get("drop", [])
    for name in dropped if isinstance(dropped, list) else []:
        if not isinstance(name, str):
            raise Refused("the edit is not valid")
        new_kwargs.pop(name, None)
    return new_args, new_kwargs


def is_editable(value: Any, depth: int = 0) -> bool:
    """Whether an edit can hold this value: JSON, and in it the TYPES."""
    if type(value) in _NAMES:
        return True
    if type(value) is list or (type(value) is tuple and depth == 0):
        return depth < MAX_PLAIN_DEPTH and all(is_editable(item, depth + 1) for item in value)
    if type(value) is dict:
        return depth < MAX_PLAIN_DEPTH and all(type(key) is str and is_editable(item, depth + 1) for key, item in value.items())
    return is_plain(value)


def _typed(name: Any, value: Any, where: str) -> Any:
    """Text, or a number for a decimal, as the type of that name. Raises Refused."""
    if not _is_known(name):
        raise Refused(f"{where} names the type {str(name)[:40]!r}; known are {', '.join(TYPES)}. Nothing was run.")
    _, read, example = TYPES[name]
    if name == "decimal" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    try:
        if isinstance(value, str):
            return read(value)
    except (ValueError, InvalidOperation):
        pass
    raise Refused(f'{where} is of the type {name}: write it as text such as "{example}". Nothing was run.', check="arguments.type")


def _is_known(name: Any) -> bool:
    return isinstance(name, str) and name in TYPES


def _mapping(edit: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    values = edit.get(key, {})
    if not isinstance(values, dict):
        raise Refused("the edit is not valid")
    return values


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise Refused("the edit contains a position that is not a number")
    return int(text)


def merge_value(new: Any, old: Any, where: str) -> Any:
    """Returns the operator's value, with the original's values for masks, and with the original's types. `old` is ABSENT without an
    original; `where` names the value in the message. Raises Refused; see `unmask`."""
    try:
        return unmask(new, old, where, typed=_of_type)
    except CannotUnmask as error:
        raise Refused(str(error), check="arguments.masked") from None


def _of_type(new: Any, old: Any, where: str) -> Any:
    """A value of one of the TYPES; ABSENT for any other."""
    if isinstance(new, dict) and new.keys() == _TYPED and (type(old) in _NAMES or _is_known(new["__type__"])):
        return _typed(new["__type__"], new["__value__"], where)
    if type(old) in _NAMES and new is not None and new != MASK:
        return _typed(_NAMES[type(old)], new, where)
    return ABSENT
