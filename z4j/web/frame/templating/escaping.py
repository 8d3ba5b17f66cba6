# SPDX-License-Identifier: AGPL-3.0-or-later
"""Escaping of template output. A page does it ten thousand times, and Jinja's own function creates a `Markup` each time that is joined with
others and discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup, _escape_inner, escape  # type: ignore[attr-defined]

_PLAIN = frozenset({int, float, bool, Markup})
"""Types whose text has nothing to escape."""


def escaped(value: Any) -> str:
    """Returns a value escaped for HTML: the same as `markupsafe.escape`, as a plain `str`."""
    kind = type(value)
    if kind is str:
        return _escape_inner(value)
    return str(value) if kind in _PLAIN else str(escape(value))


def all_escaped(texts: Sequence[str]) -> list[str]:
    """Returns many texts escaped, in their order: all of them in one call, unless one contains the separator."""
    parts = _escape_inner("\x00".join(texts)).split("\x00")
    return parts if len(parts) == len(texts) else [_escape_inner(text) for text in texts]


class TemplateCode(CodeGenerator):
    """Jinja's compiler with `escaped` for template output."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's name
        """Imports it in the code of each template."""
        self.writeline(f"from {__name__} import escaped")
        super().visit_Template(node, frame)

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write(f"escaped({finalize.src or ''}")


class TemplateEnvironment(Environment):
    """A Jinja environment whose templates are compiled so."""

    code_generator_class = TemplateCode
