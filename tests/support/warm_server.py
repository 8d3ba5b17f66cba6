# SPDX-License-Identifier: AGPL-3.0-or-later
"""Imported by the process that forks the programs of z4j (`fork_server.py`): builds and imports once what each of them would build and
import again, which is the commands that tests use most, the table of routes, and every page. Its programs hash passwords as cheaply as the
tests in one process do, which saves 0.2 s of a processor for each user and each sign-in. New interpreters, and those with FULL_PASSWORDS in
their environment, do not."""

from __future__ import annotations

import os

from argon2 import PasswordHasher

from z4j import cli, lazy_imports
from z4j.web import routes
from z4j.web.auth import authentication

for word in ("", "serve", "migrate", "token", "user"):
    cli._parser(word)
routes.compile_routes()
for row in routes.all_rows():
    lazy_imports.load(f"z4j.web.{row.endpoint}")


def _hasher() -> PasswordHasher:
    return PasswordHasher() if "FULL_PASSWORDS" in os.environ else PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


authentication.PasswordHasher = _hasher  # type: ignore[attr-defined, assignment]
