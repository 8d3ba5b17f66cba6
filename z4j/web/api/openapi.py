# SPDX-License-Identifier: AGPL-3.0-or-later
"""The OpenAPI document, generated from the table of operations, so that it lists exactly the operations that exist."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j import __version__
from z4j.web.api import alerts, audit, commands, errors, findings, history, incidents, plans, queues, releases, schedules, tasks, workers
from z4j.web.api.endpoints import Operation
from z4j.web.api.settings import forwarding
from z4j.web.frame import export
from z4j.wire.frames import CapabilityItem, RunningItem

PROBLEM: Final = "application/problem+json"


class Problem(Struct):
    """RFC 9457. `detail` is what happened and what was not affected, `hint` what to do, `request` the ID in the server's log."""

    type: str
    title: str
    status: int
    detail: str
    hint: str
    request: str


async def show(request: Request) -> Response:
    """GET /api/v1/openapi.json."""
    return export.to_json(document())


OPERATIONS: Final = (
    *tasks.OPERATIONS,
    *plans.OPERATIONS,
    *history.OPERATIONS,
    *queues.OPERATIONS,
    *workers.OPERATIONS,
    *commands.OPERATIONS,
    *errors.OPERATIONS,
    *findings.OPERATIONS,
    *incidents.OPERATIONS,
    *alerts.OPERATIONS,
    *forwarding.OPERATIONS,
    *releases.OPERATIONS,
    *audit.OPERATIONS,
    *schedules.OPERATIONS,
    Operation("GET", "/api/v1/openapi.json", show, "viewer", "This document.", dict[str, Any]),
)


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    types = [kind for operation in OPERATIONS for kind in (operation.answer, operation.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    components |= {item.__name__: _as_object(item, components[item.__name__]) for item in (CapabilityItem, RunningItem)}
    by_type = dict(zip(map(id, types), schemas, strict=False))
    problem = schemas[-1]
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        path = re.sub(r"\{(\w+):int\}", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, by_type, problem)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "z4j",
            "version": __version__.partition("+")[0],
            "description": "Times are integer microseconds UTC. Durations end in _us. Send a token as `Authorization: Bearer …`.",
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }
    return cast(dict[str, Any], json.loads(msgspec.json.encode(made)))  # defaults that are tuples become lists


def _as_object(item: type[Struct], schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a struct that is a list on the agents' wire, as `export.plain_value` shows it: an object."""
    fields = [{name: value for name, value in field.items() if name != "default"} for field in schema["prefixItems"]]
    properties = dict(zip(item.__struct_fields__, fields, strict=False))
    return {"title": schema["title"], "description": schema.get("description", ""), "type": "object", "properties": properties,
            "required": list(properties)}  # fmt: skip


def main() -> None:
    """Prints the document, for adapters/client/generate.py."""
    print(msgspec.json.encode(document()).decode())


def _operation(operation: Operation, by_type: dict[int, Any], problem: Any) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind else "string"}}
        for name, kind in re.findall(r"\{(\w+)(:int)?\}", operation.path)
    ]
    in_query = [{"name": name, "in": "query", "description": text, "schema": {"type": "string"}} for name, text in operation.query]
    name = re.sub(r"[^a-z]+", "_", operation.path.removeprefix("/api/v1/").replace(":int", "")).strip("_")
    made: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{name}",
        "summary": operation.summary,
        "description": f"Requires the role {operation.role}.",
        "parameters": [*in_path, *in_query],
        "responses": {
            str(operation.status): {
                "description": operation.summary,
                "content": {"application/json": {"schema": by_type[id(operation.answer)]}},
            },
            "default": {"description": "The error.", "content": {PROBLEM: {"schema": problem}}},
        },
    }
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": by_type[id(operation.body)]}}}
    return made


if __name__ == "__main__":
    main()
