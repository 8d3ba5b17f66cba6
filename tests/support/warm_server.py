# SPDX-License-Identifier: AGPL-3.0-or-later
"""Imported by the process that forks the programs of z4j (`fork_server.py`): builds once what each of them would build again, which is the
tree of commands and the table of routes, 50 ms of a processor."""

from __future__ import annotations

from z4j import app, cli

cli._parser()
app._compile_routes()
