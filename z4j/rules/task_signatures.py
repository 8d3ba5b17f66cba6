# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parses the signature of a registered task as its agent reported it, for forms and for checking arguments. Pure."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from z4j.text import Json


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `default` is its source text, None when it must be given."""

    name: str
    kind: Literal["positional", "either", "keyword", "rest", "named_rest"]
    default: str | None = None
    annotation: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether a call must pass it."""
        return self.default is None and self.kind not in ("rest", "named_rest")


def parse(text: str) -> tuple[Parameter, ...] | None:
    """Parses the parameters of `(user, *, delay: int = 3) -> None`. Returns None if that is not possible, e.g. for a default that is no
    source code."""
    try:
        made = ast.parse(f"def f{text}: ...").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    assert isinstance(made, ast.FunctionDef)
    arguments = made.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(arguments.defaults)), *arguments.defaults]
    parameters = [
        Parameter(arg.arg, "positional" if arg in arguments.posonlyargs else "either", _source(default), _source(arg.annotation) or "")
        for arg, default in zip(plain, defaults, strict=True)
    ]
    if arguments.vararg:
        parameters.append(Parameter(arguments.vararg.arg, "rest"))
    parameters += [
        Parameter(arg.arg, "keyword", _source(default), _source(arg.annotation) or "")
        for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        parameters.append(Parameter(arguments.kwarg.arg, "named_rest"))
    return tuple(parameters)


def why_not(parameters: Sequence[Parameter], args: Sequence[Json], kwargs: Sequence[str]) -> str | None:
    """Returns why a call with so many positional arguments and these keywords would fail, as a sentence, or None."""
    takes = [parameter for parameter in parameters if parameter.kind in ("positional", "either")]
    has_rest = any(parameter.kind == "rest" for parameter in parameters)
    if len(args) > len(takes) and not has_rest:
        return f"The task takes {len(takes)} positional arguments, but {len(args)} were given."
    given = {parameter.name for parameter in takes[: len(args)]}
    twice = [name for name in kwargs if name in given]
    if twice:
        return f"Argument {twice[0]} was given twice."
    by_name = {parameter.name for parameter in parameters if parameter.kind in ("either", "keyword")}
    if not any(parameter.kind == "named_rest" for parameter in parameters):
        unknown = [name for name in kwargs if name not in by_name]
        if unknown:
            return f"The task has no parameter {unknown[0]}."
    missing = [
        parameter.name for parameter in parameters if parameter.is_needed and parameter.name not in given and parameter.name not in kwargs
    ]
    return f"Argument {missing[0]} is missing." if missing else None


def _source(node: ast.expr | None) -> str | None:
    return None if node is None else ast.unparse(node)
