# SPDX-License-Identifier: AGPL-3.0-or-later
"""The test folders, and the environment each of them runs in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
OTHERS: Final = "examples/third_party_adapter"


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    """Its path below the root."""
    environment: str
    """Its folder below .venvs."""
    is_fast: bool = False
    arguments: tuple[str, ...] = ()

    @property
    def python(self) -> str:
        return str(ROOT / ".venvs" / self.environment / "bin/python")

    def files(self) -> list[str]:
        """Its test files, below the root."""
        return sorted(str(path.relative_to(ROOT)) for path in (ROOT / self.name).rglob("test_*.py"))


def of_adapter(name: str) -> Folder:
    return Folder(f"adapters/{name}/tests", name)


FOLDERS: Final = (
    Folder("tests/unit", "server", is_fast=True),
    Folder("tests/contract", "server", is_fast=True),
    Folder("tests/browser", "server"),
    Folder("tests/incidents", "server"),
    Folder("tests/e2e", "server"),
    Folder("adapters/agent/tests", "server", is_fast=True),
    Folder("adapters/client/tests", "server", is_fast=True),
    *map(of_adapter, ("celery", "rq", "dramatiq", "huey", "arq", "taskiq", "apscheduler", "django", "flask", "fastapi")),
    Folder(OTHERS, "saq", arguments=("-c", f"{OTHERS}/pyproject.toml")),
)
