# SPDX-License-Identifier: Apache-2.0
"""What the children that a worker forks do for the first time: what one imports or compiles, every task pays for if each has its own child.

An application of the test calls `watch` before its worker forks. A harness with `ForkedChildren` reads what the children did.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from z4j_agent.conformance.harness import Harness, wait_for
from z4j_agent.wire.credentials import lazy_patterns

TASKS = (("succeed", "https://user:pass@shop.example/?token=1 key=hunter2"), ("secret", "eve", "hunter2"), ("fail", "no such door"))
"""Kinds of tasks with arguments, results and errors that redaction reads."""
FILE = "Z4J_TEST_CHILDREN"
"""The environment variable with the file to which each child writes a line when it ends."""


def watch() -> None:
    """Makes each later child of this process report, as a line of JSON, the modules that it imported and the patterns of redaction that it
    compiled."""
    before: set[str] = set()
    compiled: list[str] = []
    compile_pattern, leave = re.compile, os._exit

    def begin() -> None:
        before.update(sys.modules)
        compiled.clear()

    def compile_and_note(pattern: Any, flags: Any = 0) -> Any:
        compiled.append(str(pattern))
        return compile_pattern(pattern, flags)

    def end(status: int) -> None:
        if before:
            line = json.dumps({"imported": sorted(set(sys.modules) - before), "compiled": compiled})
            with open(os.environ[FILE], "a") as file:
                file.write(line + "\n")
        leave(status)

    lazy_patterns.re = type(sys)("re")  # type: ignore[attr-defined]
    lazy_patterns.re.compile = compile_and_note  # type: ignore[attr-defined]
    os._exit = end  # type: ignore[assignment]
    os.register_at_fork(after_in_child=begin)


def of_agent(child: dict[str, Any]) -> list[str]:
    """Returns the modules of the agent, its adapter and its encryption that a child imported."""
    return [name for name in child["imported"] if name.startswith(("z4j", "cryptography"))]


class ForkedChildren(Harness):
    """A harness whose worker runs an application that calls `watch`."""

    def set_up(self) -> None:
        """Tells the worker where its children report."""
        super().set_up()
        self.variables[FILE] = str(self.folder / "children")

    def child(self, number: int) -> dict[str, Any] | None:
        """What one of the children did, from 0, once it has ended."""
        path = self.folder / "children"
        lines = path.read_text().splitlines() if path.exists() else []
        return json.loads(lines[number]) if len(lines) > number else None

    def run_tasks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Runs each of TASKS alone, and yields its kind and what its child did."""
        for number, (kind, *args) in enumerate(TASKS):
            self.enqueue(kind, *args)
            child = wait_for(partial(self.child, number), f"the child of {kind} ends")
            assert child is not None
            yield kind, child
