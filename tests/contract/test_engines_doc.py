# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checks that `docs/engines.md` lists the actions and outcomes of every engine as they are in the code.

`python -m tests.contract.test_engines_doc` writes the generated tables again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from z4j.rules.tasks.states import STATES
from z4j_agent.contract.adapter import ACTION_LEVEL

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs/engines.md"
PURGE = ROOT / "adapters/agent/src/z4j_agent/commands/queue_actions.py"
ENGINES = ("celery", "arq", "taskiq", "dramatiq", "rq", "huey")
ROW = re.compile(r"^\| [^|]+ \| `(\w+)`(?: / `(\w+)`)? \|", re.M)
BEGIN, END = "<!-- capabilities of {}: begin -->", "<!-- capabilities of {}: end -->"
TITLES = {action: action.replace("_", " ").capitalize() for action in ACTION_LEVEL}
WHO = {"any": "any process of the app", "worker": "the worker itself", "scheduler": "the scheduler"}


def source(engine: str) -> dict[str, ast.Module]:
    """The adapter's modules, parsed: the server's environment has no engine to import them with."""
    folder = ROOT / f"adapters/{engine}/src/z4j_{engine}"
    return {str(path.relative_to(folder).with_suffix("")): ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}


def capabilities(engine: str) -> list[dict[str, object]]:
    """What the adapter declares, in its own order."""
    fields = ("action", "scope", "certainty", "states", "note")
    found = []
    for node in ast.walk(source(engine)["adapter"]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Capability":
            given: dict[str, object] = {"states": (), "note": ""}
            given |= {name: ast.literal_eval(value) for name, value in zip(fields, node.args, strict=False)}
            given |= {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
            found.append(given)
    return found


def nodes(engine: str) -> Iterator[ast.AST]:
    """All of the adapter's code, and what it purges with: hooks and the rules behind them are modules of their own."""
    for module in source(engine).values():
        yield from ast.walk(module)
    if any(capability["action"] == "purge_queue" for capability in capabilities(engine)):
        yield from ast.walk(ast.parse(PURGE.read_text()))


def reasons(engine: str) -> set[str]:
    """Every reason the adapter can give: the constants of `reason=`, `why` and `"reason":`, and what `REASONS` holds."""
    found: set[str] = set()
    for node in nodes(engine):
        named = [to.id for to in node.targets if isinstance(to, ast.Name)] if isinstance(node, ast.Assign) else []
        is_assigned = any(name in ("reason", "why") for name in named)
        if isinstance(node, ast.Assign) and "REASONS" in named:
            found |= set(ast.literal_eval(ast.List(node.value.values))) if isinstance(node.value, ast.Dict) else set()
        is_passed = isinstance(node, ast.keyword) and node.arg == "reason"
        if isinstance(node, ast.Assign | ast.keyword) and (is_assigned or is_passed):
            leaves = _results(node.value)
            found |= {leaf.value for leaf in leaves if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (told := re.search(r'"reason":"(\w+)"', node.value)):
            found.add(told[1])
    return {reason for reason in found if re.fullmatch(r"\w+", reason)}  # a sentence is why an operator's request is refused


def _results(value: ast.expr) -> list[ast.expr]:
    """The expressions an expression can come out as: both branches of `a if b else c`."""
    return [*_results(value.body), *_results(value.orelse)] if isinstance(value, ast.IfExp) else [value]


def ends(engine: str) -> set[str]:
    """The kinds of record the adapter writes."""
    return {
        node.func.attr
        for node in nodes(engine)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "records"
    }


def outcomes(engine: str) -> set[tuple[str, str]]:
    """(state, reason) of every way a task ends in the adapter's harnesses, which run for real; "retrying" where one attempt is not all."""
    found: set[tuple[str, str]] = set()
    for path in sorted((ROOT / f"adapters/{engine}/tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Outcome":
                given = dict(zip(("end", "reason", "attempts"), (ast.literal_eval(value) for value in node.args), strict=False))
                given |= {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg in ("end", "reason", "attempts")}
                found.add((str(given["end"]), str(given.get("reason", ""))))
                if given.get("attempts", 1) != 1:
                    found.add(("retrying", ""))
    return found


def table(engine: str) -> str:
    """The generated table of an engine's capabilities."""
    lines = ["| Action | Executed by | Certainty | Task states | Required level | Note |", "|---|---|---|---|---|---|"]
    for able in capabilities(engine):
        states = able["states"]
        assert isinstance(states, tuple)
        action = str(able["action"])
        lines.append(
            f"| {TITLES[action]} | {WHO[str(able['scope'])]} | {str(able['certainty']).replace('_', ' ')} "
            f"| {', '.join(states) or 'any'} | `{ACTION_LEVEL[action]}` | {able['note'] or '–'} |"
        )
    lines += [
        f"| {TITLES[name]} | not offered | | | | |" for name in sorted(ACTION_LEVEL.keys() - {a["action"] for a in capabilities(engine)})
    ]
    return "\n".join(lines)


def section(engine: str, text: str) -> str:
    """The outcomes of one engine, as written by hand."""
    return re.split(r"^## ", re.split(rf"(?i)^## {engine}\n", text, flags=re.M)[1], flags=re.M)[0]


def test_capabilities_are_as_declared() -> None:
    text = DOC.read_text()
    for engine in ENGINES:
        shown = text.partition(BEGIN.format(engine))[2].partition(END.format(engine))[0].strip()
        assert shown == table(engine), "run `python -m tests.contract.test_engines_doc`"


def test_every_reason_has_a_row_and_every_row_a_reason() -> None:
    text = DOC.read_text()
    for engine in ENGINES:
        rows = ROW.findall(section(engine, text))
        assert len(rows) >= 20
        assert {reason for _, reason in rows if reason} == reasons(engine)


def test_every_state_of_a_row_exists_and_every_end_has_a_row() -> None:
    text = DOC.read_text()
    for engine in ENGINES:
        states = {state for state, _ in ROW.findall(section(engine, text))}
        assert states <= set(STATES)
        assert ends(engine) & set(STATES) <= states


def test_every_outcome_of_a_harness_has_a_row() -> None:
    text = DOC.read_text()
    for engine in ENGINES:
        proved = outcomes(engine)
        assert {("succeeded", ""), ("failed", ""), ("retrying", "")} <= proved
        assert proved - set(ROW.findall(section(engine, text))) == set(), engine


def write() -> None:
    """Puts the generated tables into the document."""
    text = DOC.read_text()
    for engine in ENGINES:
        begin, end = BEGIN.format(engine), END.format(engine)
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n{table(engine)}\n{end}{rest.partition(end)[2]}"
    DOC.write_text(text)


if __name__ == "__main__":
    write()
