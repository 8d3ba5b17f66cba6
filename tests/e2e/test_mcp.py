# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j mcp`, driven by the official client over its standard input and output, in front of a real server."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.support.database import life, origin
from tests.support.stack import Stack, stack, wait_for
from tests.support.wire_client import WireClient, now
from tests.unit.web.api.test_openapi import IDS
from z4j_agent import wire

pytestmark = pytest.mark.anyio


def parameters(made: Stack, role: str, *words: str) -> StdioServerParameters:
    token = made.command("token", "create", "--api", f"mcp {role} {len(words)}", "--role", role).strip()
    env = {**os.environ, "Z4J_API_TOKEN": token, "Z4J_SERVER": made.address}
    return StdioServerParameters(command=sys.executable, args=["-m", "z4j", "mcp", *words], env=env)


async def ask(client: Client, tool: str, **arguments: Any) -> tuple[bool, Any]:
    answer = await client.call_tool(tool, arguments)
    text = getattr(answer.content[0], "text", "")
    return bool(answer.is_error), text if answer.is_error else json.loads(text)


async def test_an_assistant_asks_and_proposes_but_does_not_act(tmp_path: Path) -> None:
    with stack(tmp_path) as made:
        made.command("migrate")
        url = made.add_app()
        made.start_server()
        with WireClient(url) as agent:
            at = now() - 60_000_000
            records = [origin(at=at), *(record for id in IDS for record in life(id, at, "failed"))]
            agent.send_and_wait(b"".join(map(wire.encode_record, records)))
        async with Client(stdio_client(parameters(made, "operator"))) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert {"findings", "errors", "tasks", "queue", "schedules", "compare_release", "propose_plan"} <= tools.keys()
            assert not {"execute_plan", "act_on_task", "acknowledge_alert"} & tools.keys()
            assert all(
                tool.annotations is not None and tool.annotations.read_only_hint for name, tool in tools.items() if name != "propose_plan"
            )
            is_error, found = await ask(client, "tasks", query="state:failed", limit=2)
            assert (is_error, len(found["tasks"])) == (False, 2)
            assert (await ask(client, "errors"))[1]["errors"][0]["failed"] == 3
            for tool in ("findings", "queues", "workers", "schedules", "alerts", "releases", "plans"):
                assert not (await ask(client, tool))[0], tool
            assert (await ask(client, "task_name", name="shop.ship"))[0] is False
            is_error, plan = await ask(client, "propose_plan", action="delete_task", query="state:failed", reason="test data")
            assert (is_error, plan["plan"]["items"], plan["plan"]["status"]) == (False, 3, "frozen")
            is_error, text = await ask(client, "tasks", query="colour:red")
            assert is_error
            assert "colour" in text
            assert (await ask(client, "task", id=99))[0]
        async with Client(stdio_client(parameters(made, "viewer", "--allow-actions"))) as client:
            is_error, text = await ask(client, "execute_plan", id=plan["plan"]["id"], digest=plan["plan"]["digest"])
            assert is_error
            assert "role, viewer" in text
        async with Client(stdio_client(parameters(made, "operator", "--allow-actions"))) as client:
            is_error, started = await ask(client, "execute_plan", id=plan["plan"]["id"], digest=plan["plan"]["digest"])
            assert (is_error, started["plan"]["id"]) == (False, plan["plan"]["id"])
        wait_for(lambda: not made.rows("SELECT id FROM task"), what="the tasks of the plan are deleted")
