# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much a command loads."""

from __future__ import annotations

import subprocess
import sys

SERVERS = ("z4j.app", "z4j.agents.gateway", "z4j.web.routes", "uvicorn", "starlette", "jinja2")


def test_a_command_does_not_load_the_server() -> None:
    """That took two thirds of the time of every command."""
    loads = "import sys, z4j.cli; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", loads, *SERVERS], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_a_server_does_not_load_the_demo() -> None:
    """Neither its memory nor its start pays for `z4j demo`."""
    demo = ("z4j.demo", "z4j_demo", "huey", "apscheduler", "z4j_huey", "z4j_agent.agent", "websockets.asyncio.client")
    loads = "import sys, z4j.cli, z4j.app; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", loads, *demo], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
