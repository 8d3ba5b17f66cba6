# SPDX-License-Identifier: AGPL-3.0-or-later
"""The changes that mutation testing makes to a module, one at a time: operators, constants, conditions, guards, calls and slices.

What has no effect when the module runs is left alone: documentation, imports, types, and arguments that only restrict how a value
may be used (`strict`, `frozen`, `slots`, `gc`, `init`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.FloorDiv: ast.Mult, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
SWAP = {"min": "max", "max": "min", "any": "all", "all": "any"}
PAIR = {"a": "b", "b": "a"}
"""The operands of `join`, as the fold calls them."""
RESTRICTIONS = frozenset({"strict", "frozen", "slots", "gc", "init"})
TOKEN = re.compile(r"[a-z0-9_]*")


class Mutant(NamedTuple):
    """One change. `line` is the source line without indentation: together with `what` it names the mutant while line numbers move."""

    number: int
    lineno: int
    line: str
    what: str
    node: int
    """Position of the node in `ast.walk`."""
    choice: int
    """Which of the changes to that node."""


def find_mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree, lines = ast.parse(source), source.splitlines()
    skipped = _without_effect(tree)
    made = []
    for node, found in enumerate(ast.walk(tree)):
        if id(found) in skipped:
            continue
        for choice, other in enumerate(changes(found)):
            what = f"{_text(found)}  ->  {_text(other)}"
            made.append((getattr(found, "lineno", 0), getattr(found, "col_offset", 0), node, choice, what))
    return [
        Mutant(number, lineno, lines[lineno - 1].strip() if lineno else "", what, node, choice)
        for number, (lineno, _, node, choice, what) in enumerate(sorted(made))
    ]


def apply(source: str, mutant: Mutant) -> ast.Module:
    """The module with this one change."""
    tree = ast.parse(source)
    old = next(found for position, found in enumerate(ast.walk(tree)) if position == mutant.node)
    new = ast.copy_location(list(changes(old))[mutant.choice], old)
    _Replace(old, new).generic_visit(tree)
    return ast.fix_missing_locations(tree)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _text(node: ast.AST) -> str:
    """One line, short enough for a table."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 160 else text[:159] + "…"


# -- the changes ---------------------------------------------------------------------------------------------------------
def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What this node is replaced with, one after another."""
    for kind, make in CHANGES.items():
        if isinstance(node, kind):
            yield from make(node)


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        other = [*node.ops[:index], COMPARE[type(operator)](), *node.ops[index + 1 :]]
        yield ast.Compare(node.left, other, node.comparators)
    if len(node.ops) == 1 and type(node.ops[0]) in (ast.Gt, ast.GtE, ast.Lt, ast.LtE):
        yield ast.UnaryOp(ast.Not(), node)
    elif len(node.ops) > 1:
        yield ast.Compare(node.left, node.ops[:1], node.comparators[:1])
        yield ast.Compare(node.comparators[-2], node.ops[-1:], node.comparators[-1:])


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    if type(node.op) in OPERATOR:
        yield ast.BinOp(node.left, OPERATOR[type(node.op)](), node.right)


def _assigned(node: ast.AugAssign) -> Iterator[ast.AST]:
    yield ast.Pass()
    if type(node.op) in OPERATOR:
        yield ast.AugAssign(node.target, OPERATOR[type(node.op)](), node.value)


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = node.values[:index] + node.values[index + 1 :]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _either(node: ast.IfExp) -> Iterator[ast.AST]:
    yield ast.IfExp(node.test, node.orelse, node.body)


def _guard(node: ast.If) -> Iterator[ast.AST]:
    """A condition the other way round, unless another change is that already; and a guard taken out."""
    if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.BoolOp):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    if not node.orelse and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break):
        yield ast.Pass()


def _statement(node: ast.Expr) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Call):
        yield ast.Pass()


def _call(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in SWAP:
        yield ast.Call(ast.Name(SWAP[node.func.id], ast.Load()), node.args, node.keywords)


def _slice(node: ast.Slice) -> Iterator[ast.AST]:
    if node.lower is not None:
        yield ast.Slice(None, node.upper, node.step)
    if node.upper is not None:
        yield ast.Slice(node.lower, None, node.step)


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
    elif isinstance(value, bytes):
        yield ast.Constant(value + b"X")
    elif isinstance(value, str):
        # A word that the program reads is changed. Of a sentence for people, whether it is there counts and not how it is put.
        yield ast.Constant(value + "X" if TOKEN.fullmatch(value) else "")


def _attribute(node: ast.Attribute) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Name) and node.value.id in PAIR:
        yield ast.Attribute(ast.Name(PAIR[node.value.id], ast.Load()), node.attr, ast.Load())


CHANGES: dict[type[ast.AST], Callable[..., Iterator[ast.AST]]] = {
    ast.Compare: _compare, ast.BinOp: _binary, ast.AugAssign: _assigned, ast.BoolOp: _boolean, ast.UnaryOp: _unary, ast.IfExp: _either,
    ast.If: _guard, ast.Expr: _statement, ast.Call: _call, ast.Slice: _slice, ast.Constant: _constant, ast.Attribute: _attribute,
}  # fmt: skip


# -- what is left alone --------------------------------------------------------------------------------------------------
def _without_effect(tree: ast.Module) -> set[int]:
    """Nodes that mean nothing when the module runs."""
    found: set[int] = set()
    for node in ast.walk(tree):
        for part in _silent_parts(node):
            found.update(id(inner) for inner in ast.walk(part))
    return found


def _silent_parts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield node
    elif isinstance(node, ast.AnnAssign):
        # The limits of a field (`Meta`) are checked when it is decoded; a plain type is not.
        if not any(isinstance(inner, ast.Call) for inner in ast.walk(node.annotation)):
            yield node.annotation
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        every = node.args
        kinds = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
        yield from (arg.annotation for arg in kinds if arg is not None and arg.annotation is not None)
        if node.returns is not None:
            yield node.returns
    elif _is_for_types(node):
        yield node


def _is_for_types(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id in {"Literal", "ClassVar", "Final"}
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "__slots__" for target in node.targets)
    return isinstance(node, ast.keyword) and node.arg in RESTRICTIONS
