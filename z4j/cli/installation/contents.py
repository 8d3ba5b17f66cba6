# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j version`, `z4j sbom`, `z4j licences` and `z4j docs`: what this installation contains."""

from __future__ import annotations

import argparse
import json
import platform
import ssl
from pathlib import Path
from typing import Any

from z4j import __version__, resources
from z4j.cli.common.output import print_table, say
from z4j.exceptions import NotFound
from z4j.settings import Settings
from z4j.store.sqlite.db import SQLITE_NAME
from z4j.store.sqlite.migrate import newest
from z4j.text import JsonObject
from z4j_agent import wire

NOT_BUNDLED = "The executable and the wheels of `make build` contain it; in a checkout, `make build` collects it."


def version(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the version; with --all also those of everything inside."""
    say(f"z4j {__version__}")
    if not words.all:
        return 0
    libc = " ".join(platform.libc_ver()) or "unknown C library"
    say(f"protocol {wire.PROTOCOL}, database schema {newest()}")
    say(f"Python {platform.python_version()}, SQLite {SQLITE_NAME}, {ssl.OPENSSL_VERSION}, {libc}, {platform.machine()}\n")
    parts = _sbom()["components"]
    print_table(("component", "version", "licence"), [(part["name"], part["version"], _licence(part)) for part in parts])
    return 0


def sbom(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the bill of materials (CycloneDX, JSON)."""
    say(json.dumps(_sbom(), indent=1, ensure_ascii=False))
    return 0


def licences(words: argparse.Namespace, settings: Settings) -> int:
    """Lists the licence texts, or prints one."""
    return _print_file("licences", words.name, ".txt")


def docs(words: argparse.Namespace, settings: Settings) -> int:
    """Lists the documents, or prints one."""
    return _print_file("docs", words.name, ".md")


def _print_file(part: str, name: str | None, suffix: str) -> int:
    folder = _bundled(part)
    listed = sorted(path.stem for path in folder.glob(f"*{suffix}"))
    if name is None:
        say("\n".join(listed))
    elif name not in listed:
        raise NotFound(f"Unknown name {name}.", f"Choose one of {', '.join(listed)}.")
    else:
        say((folder / f"{name}{suffix}").read_text("utf-8", "replace"))
    return 0


def _sbom() -> dict[str, Any]:
    made: JsonObject = json.loads(_bundled("sbom.json").read_text("utf-8"))
    return made


def _licence(part: dict[str, Any]) -> str:
    return ", ".join(str(each["license"].get("name", "")) for each in part.get("licenses", ()))


def _bundled(name: str) -> Path:
    found = resources.bundled(name)
    if found is None:
        raise NotFound(f"This installation does not contain {name}.", NOT_BUNDLED)
    return found
