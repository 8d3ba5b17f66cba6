# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes `rules/fold.py` in one place at a time and sees whether a test of the fold notices.

    python tests/mutation.py            # prints killed/total and every survivor
    python tests/mutation.py 17 18      # tries only these

Each mutant runs in a forked child that has pytest imported already; nothing is written to the source tree.
"""

from __future__ import annotations

import ast
import copy
import os
import signal
import sys
import types
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "z4j/rules/fold.py"
MODULE = "z4j.rules.fold"
TESTS = ["tests/unit/rules/test_fold.py", "tests/contract/test_fold_laws.py"]
PURE = "not database and not concurrent"
SECONDS = 60

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.FloorDiv: ast.Mult, ast.Mult: ast.FloorDiv,
}  # fmt: skip
SWAP = {"min": "max", "max": "min"}


def mutations(node: ast.AST) -> Iterator[ast.AST]:
    """The other things this node could have been."""
    if isinstance(node, ast.Compare):
        yield ast.Compare(node.left, [COMPARE[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATOR:
        yield ast.BinOp(node.left, OPERATOR[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAP:
        yield ast.Call(ast.Name(SWAP[node.func.id], ast.Load()), node.args, node.keywords)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield ast.Constant(node.value + "X")
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("a", "b"):
        yield ast.Attribute(ast.Name("b" if node.value.id == "a" else "a", ast.Load()), node.attr, ast.Load())


def prose(tree: ast.Module) -> set[int]:
    """Nodes that mean nothing when it runs: annotations, documentation, imports."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        elif isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            parts += [node.returns, *(argument.annotation for argument in node.args.args)]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            parts.append(node)
        for part in parts:
            if part is not None:
                found.update(id(inner) for inner in ast.walk(part))
    return found


def mutants() -> list[tuple[int, str, ast.Module]]:
    """Line, what changed, and the changed module."""
    tree = ast.parse(TARGET.read_text("utf-8"))
    silent = prose(tree)
    made = []
    for position, node in enumerate(ast.walk(tree)):
        if id(node) in silent:
            continue
        for other in mutations(node):
            changed = copy.deepcopy(tree)
            twin = next(twin for index, twin in enumerate(ast.walk(changed)) if index == position)
            new = ast.fix_missing_locations(ast.copy_location(copy.deepcopy(other), twin))
            Replace(twin, new).visit(changed)
            what = f"{ast.unparse(node)}  ->  {ast.unparse(other)}"
            made.append((getattr(node, "lineno", 0), what, ast.fix_missing_locations(changed)))
    return made


class Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return self.new
        return super().visit(node)  # type: ignore[no-any-return]


def run_tests() -> int:
    """Exit status of pytest, 0 when every test passed."""
    import pytest

    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the rest of this child's life
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore", "-m", "not long", "--hypothesis-seed=1"]
    # A module reached by the cases need not wait for the laws.
    status = pytest.main([*options, TESTS[0]])
    return int(status or pytest.main([*options, "-k", PURE, *TESTS[1:]]))


def survives(module: ast.Module) -> bool:
    """Whether the tests pass with this module in the fold's place."""
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.alarm(SECONDS)
            mutant = types.ModuleType(MODULE)
            mutant.__file__ = str(TARGET)
            sys.modules[MODULE] = mutant
            exec(compile(module, str(TARGET), "exec"), mutant.__dict__)
            status = run_tests()
        finally:
            os._exit(1 if status else 0)
    return os.waitpid(child, 0)[1] == 0


def main() -> int:
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import hypothesis  # noqa: F401 - imported once, for all children
    import msgspec  # noqa: F401
    import pytest  # noqa: F401

    made = mutants()
    wanted = [int(number) for number in sys.argv[1:]] or range(len(made))
    unchanged = ast.parse(TARGET.read_text("utf-8"))
    if not survives(unchanged):
        print("the tests fail without any mutant")
        return 1
    survivors = []
    for number in wanted:
        line, what, module = made[number]
        if survives(module):
            survivors.append(number)
            print(f"survived {number}: line {line}: {what}", flush=True)
    killed = len(wanted) - len(survivors)
    print(f"{killed} of {len(wanted)} mutants killed ({100 * killed / len(wanted):.1f} %)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
