# SPDX-License-Identifier: AGPL-3.0-or-later
"""Imported by the process that forks the programs of z4j (`fork_server.py`): builds once what each of them would build again, which is the
tree of commands and the table of routes, 50 ms of a processor. Its programs hash passwords as cheaply as the tests in one process do, which
saves 0.2 s of a processor for each user and each sign-in. New interpreters, and those with FULL_PASSWORDS in their environment, do not."""

from __future__ import annotations

import os

from argon2 import PasswordHasher

from z4j import app, cli
from z4j.web.auth import authentication

cli._parser()
app._compile_routes()


def _hasher() -> PasswordHasher:
    return PasswordHasher() if "FULL_PASSWORDS" in os.environ else PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


authentication.PasswordHasher = _hasher  # type: ignore[attr-defined, assignment]
