# SPDX-License-Identifier: Apache-2.0
"""Reads the JSON of a response as the dataclasses of `z4j_client.models`.

A field that this version does not know is left out, so that a newer server can be read. A field that is missing, or has another type,
raises BadResponse with its place."""

from __future__ import annotations

import functools
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from z4j_client.exceptions import BadResponse

T = TypeVar("T")


def decode(kind: type[T], value: object, where: str = "the response") -> T:
    """Returns `value`, which was read from JSON, as `kind`. Raises BadResponse."""
    return cast(T, _decode(kind, value, where))


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (types.UnionType, Union):
        if value is None:
            return None
        return _decode(next(each for each in get_args(kind) if each is not type(None)), value, where)
    if origin is Literal:  # a newer server may have more values
        if not isinstance(value, str):
            _refuse(where, "text", value)
        return value
    if origin is list or kind is list:
        if not isinstance(value, list):
            _refuse(where, "a list", value)
        (of,) = get_args(kind)
        return [_decode(of, item, f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is dict or kind is dict:
        if not isinstance(value, dict):
            _refuse(where, "an object", value)
        of = get_args(kind)[1]
        return {name: _decode(of, item, f"{where}.{name}") for name, item in value.items()}
    if is_dataclass(kind):
        return _decode_fields(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        _refuse(where, kind.__name__, value)
    return value


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        _refuse(where, "an object", value)
    made: dict[str, Any] = {}
    for name, (hint, is_required) in _fields_of(kind).items():
        if name in value:
            made[name] = _decode(hint, value[name], f"{where}.{name}")
        elif is_required:
            raise BadResponse(f"{where}.{name} is missing.", "The server may be older than this client.")
    return kind(**made)


@functools.cache
def _fields_of(kind: Any) -> dict[str, tuple[Any, bool]]:
    """{name of a field: (its type, whether it has no default)}."""
    hints = get_type_hints(kind)
    return {each.name: (hints[each.name], each.default is MISSING and each.default_factory is MISSING) for each in fields(kind)}


def _refuse(where: str, wanted: str, value: object) -> NoReturn:
    raise BadResponse(f"{where} is {type(value).__name__}, and {wanted} was expected.", "The server may be of another version.")
