# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds templates/, static/ and bundled wheels in a checkout, in the wheel, and inside the executable."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path


def root() -> Path:
    """Returns the folder that contains `templates` and `static`. Raises FileNotFoundError if the installation is incomplete."""
    here = Path(__file__).resolve().parent
    frozen = Path(getattr(sys, "_MEIPASS", here / "_bundle"))
    for folder in (frozen, here / "_bundle", here.parent):
        if (folder / "templates").is_dir() and (folder / "static").is_dir():
            return folder
    raise FileNotFoundError("templates/ and static/ are missing from this installation of z4j")


def templates() -> Path:
    """Returns the folder of the templates."""
    return root() / "templates"


def static() -> Path:
    """Returns the folder of the static files."""
    return root() / "static"


def compiled_templates() -> Path | None:
    """Returns the folder of the templates that were compiled when the executable was built. None elsewhere."""
    found = root() / "compiled"
    return found if found.is_dir() else None


def bundled(name: str) -> Path | None:
    """Returns a part of what bundle.py has collected: `wheels`, `licences`, `docs` or `sbom.json`. It is beside the templates, or in
    dist/bundle of a checkout. None if it is missing."""
    found = (path for path in (root() / name, root() / "dist/bundle" / name) if path.exists())
    return next(found, None)


@cache
def documents() -> dict[str, str]:
    """Returns the documents by name, as Markdown: those of the bundle, or of a checkout."""
    folder = bundled("docs")
    if folder is None:
        return {}
    found = {path.stem.lower(): path.read_text("utf-8") for path in sorted(folder.glob("*.md"))}
    for name, path in (("deploy", folder / "deploy/README.md"), ("protocol", root() / "adapters/agent/PROTOCOL.md")):
        if path.is_file():
            found[name] = path.read_text("utf-8")
    return found


def grafana_board() -> Path | None:
    """Returns the Grafana dashboard, or None."""
    folder = bundled("docs")
    return folder / "deploy/grafana.json" if folder is not None else None


def wheels() -> Path | None:
    """Returns the folder of the bundled wheels, or None."""
    return bundled("wheels")
