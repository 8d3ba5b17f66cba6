# SPDX-License-Identifier: Apache-2.0
"""Signatures of registered tasks as text, with secrets in defaults and annotations masked. Pure, standard library only.

Used by the agent before a list of tasks is sent, and by the server again for agents with older rules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Final

from z4j_agent.wire.redaction import MASK, redact_arguments, redact_text

_SHOWN: Final = repr(MASK)
#: A parameter with a text as its default, in a signature that is not valid source code, for example with the default `<object>`.
_DEFAULT: Final = re.compile(r"(\w+)(\s*(?::[^=,]*)?=\s*)([bruf]?(?:'(?:[^'\\]|\\.)*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)))")


def redact_signature(text: str, extra: Iterable[str] = ()) -> str:
    """`(user: str, password: str = 'hunter2')` as `(user: str, password: str = '•••')`. Masking again changes nothing.

    A default is masked by the name of its parameter or by its form; a text within an annotation or a call by its form.
    """
    if "'" not in text and '"' not in text:
        return text
    names = tuple(extra)
    try:
        made = ast.parse(f"def f{text}: ...").body[0]
        assert isinstance(made, ast.FunctionDef)
        spans = sorted(_spans(made.args, made.returns, names))
    except (SyntaxError, ValueError, RecursionError, MemoryError, AssertionError):
        return redact_text(_DEFAULT.sub(lambda match: match[1] + match[2] + _literal(match[3], match[1], names), text))
    raw, first, parts, at = text.encode(), len("def f"), list[bytes](), 0
    for start, end in spans:
        if start - first >= at:
            parts += [raw[at : start - first], _SHOWN.encode()]
            at = end - first
    return b"".join((*parts, raw[at:])).decode()


def _spans(arguments: ast.arguments, returns: ast.expr | None, names: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Offsets of the texts to mask, in bytes. A signature is one line."""
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(arguments.defaults)), *arguments.defaults]
    for arg, default in (*zip(plain, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
        yield from _of_value(default, arg.arg, names)
        yield from _of_value(arg.annotation, "", names)
    for rest in (arguments.vararg, arguments.kwarg):
        yield from _of_value(rest.annotation if rest is not None else None, "", names)
    yield from _of_value(returns, "", names)


def _of_value(node: ast.AST | None, name: str, names: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """`name` is that of the parameter, of the keyword of a call, or of the dict key of the value."""
    if node is None:
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str | bytes | int) and _is_masked(node.value, name, names):
            assert node.end_col_offset is not None
            if node.lineno != 1 or node.end_lineno != 1:
                raise ValueError("a signature is one line")
            yield node.col_offset, node.end_col_offset
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield from _of_value(key, "", names)
            yield from _of_value(value, str(key.value) if isinstance(key, ast.Constant) else name, names)
    elif isinstance(node, ast.keyword):
        yield from _of_value(node.value, node.arg or name, names)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _of_value(child, name, names)


def _is_masked(value: str | bytes | int, name: str, names: tuple[str, ...]) -> bool:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value != MASK and redact_arguments([value], [name] if name else [], names)[1]


def _literal(quoted: str, name: str, names: tuple[str, ...]) -> str:
    try:
        value = ast.literal_eval(quoted)
    except (SyntaxError, ValueError):  # cut off
        value = quoted.lstrip("bruf")[1:]
    return _SHOWN if isinstance(value, str | bytes) and _is_masked(value, name, names) else quoted
