# SPDX-License-Identifier: AGPL-3.0-or-later
"""The OpenAPI document is valid, and z4j-client offers all of it: every operation has a method on both faces, every field its type."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from z4j.web.api.openapi import document
from z4j_client import AsyncClient, Client, models
from z4j_client.decoding import decode

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "adapters/client/src/z4j_client"
REFERENCE = "#/components/schemas/"
ANYTHING: Any = typing.Any


class Recorder:
    """Takes the place of the connection to the server: keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, type, set[str], set[str]]] = []

    def send(self, method: str, path: str, kind: type, query: dict[str, object], body: Any) -> Any:
        self.sent.append((method, path, kind, set(query), set(body or ())))
        raise ConnectionAbortedError

    def close(self) -> None:
        """Nothing is open."""


class AsyncRecorder(Recorder):
    async def send(self, method: str, path: str, kind: type, query: dict[str, object], body: Any) -> Any:
        return super().send(method, path, kind, query, body)


def methods_of(client: Client | AsyncClient) -> Iterator[tuple[str, Any]]:
    """Yields (group.name, method) of every method that sends one request."""
    for group, operations in vars(client).items():
        for name, method in inspect.getmembers(operations, inspect.ismethod):
            if not name.startswith(("_", "iterate")) and name not in ("wait", "follow", "send", "close"):
                yield f"{group}.{name}", method


def arguments(method: Any) -> dict[str, Any]:
    """A value of its type for every parameter, so that no part of the request is left out."""
    made = {}
    for name, hint in typing.get_type_hints(method).items():
        if name != "return":
            made[name] = sample(hint)
    return made


def sample(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    origin = typing.get_origin(hint) or hint
    if origin is typing.Literal:
        return typing.get_args(hint)[0]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint(**{field.name: sample(typing.get_type_hints(hint)[field.name]) for field in dataclasses.fields(hint)})
    if origin in (int, float, str, bool):
        return origin(7)
    return {} if "Mapping" in str(origin) or origin is dict else []


def call(method: Any) -> None:
    answer = method(**arguments(method))
    if inspect.isawaitable(answer):
        asyncio.run(answer)  # type: ignore[arg-type]


def sent_by(client: Any, recorder: Recorder) -> dict[str, tuple[str, str, type, set[str], set[str]]]:
    """{group.name: the request of the method}."""
    client._transport = recorder
    made = {}
    for group in vars(client).values():
        if group is not recorder:
            group._transport = recorder
    for name, method in methods_of(client):
        with pytest.raises(ConnectionAbortedError):
            call(method)
        made[name] = recorder.sent.pop()
    return made


@pytest.fixture(scope="module")
def faces() -> tuple[dict[str, Any], dict[str, Any]]:
    token = {"server": "http://127.0.0.1:1", "token": "z4k_x"}
    return sent_by(Client(**token), Recorder()), sent_by(AsyncClient(**token), AsyncRecorder())  # type: ignore[arg-type]


def test_the_document_is_valid() -> None:
    assert [f"{list(error.path)}: {error.message}" for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_the_generated_files_are_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "adapters/client/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    made = generate.generate(document())
    files = [path for folder in generate.FOLDERS for path in (PACKAGE / folder).rglob("*.py")]
    stored = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in files}
    assert {name for name in made if stored.get(name) != made[name]} == set(), "run `make client`"
    assert stored.keys() == made.keys(), "run `make client`"
    document_with_more = document() | {"paths": document()["paths"] | {"/api/v1/new": {"get": {"operationId": "get_new"}}}}
    with pytest.raises(ValueError, match="get_new"):
        generate.generate(document_with_more)


def test_both_faces_send_the_same(faces: tuple[dict[str, Any], dict[str, Any]]) -> None:
    synchronous, asynchronous = faces
    assert synchronous == asynchronous
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("__") and name != "close":
            assert inspect.signature(method) == inspect.signature(getattr(AsyncClient, name))


def test_every_operation_has_a_method(faces: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Every path with its method, its parameters, the fields of its body and the type of its answer."""
    wanted = []
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            query = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
            body = resolve(operation["requestBody"]["content"]["application/json"]["schema"]) if "requestBody" in operation else {}
            wanted.append((method.upper(), path.replace("{id}", "7"), query, set(body.get("properties", ()))))
    sent = [(method, path, query, body) for method, path, _, query, body in faces[0].values()]
    assert sorted(sent, key=str) == sorted(wanted, key=str)


def test_every_field_of_an_answer_is_there_with_its_type(faces: tuple[dict[str, Any], dict[str, Any]]) -> None:
    kinds = {(method, path): kind for method, path, kind, _, _ in faces[0].values()}
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            [schema] = [
                each["content"]["application/json"]["schema"] for status, each in operation["responses"].items() if status != "default"
            ]
            assert is_same(kinds[method.upper(), path.replace("{id}", "7")], schema), f"{method} {path}"
    names = {name for name in document()["components"]["schemas"] if hasattr(models, name)}
    assert names == set(models.__all__)
    for name in names:
        schema, kind = document()["components"]["schemas"][name], getattr(models, name)
        hints = typing.get_type_hints(kind)
        assert hints.keys() == schema["properties"].keys(), name
        for field in dataclasses.fields(kind):
            assert is_same(hints[field.name], schema["properties"][field.name]), f"{name}.{field.name}"
            has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            assert has_default is (field.name not in schema.get("required", ())), f"{name}.{field.name}"
            if has_default and field.default is not dataclasses.MISSING:
                assert field.default == schema["properties"][field.name]["default"]


def resolve(schema: dict[str, Any]) -> Any:
    return document()["components"]["schemas"][schema["$ref"].removeprefix(REFERENCE)] if "$ref" in schema else schema


def is_same(hint: Any, schema: dict[str, Any]) -> bool:
    """Whether a type of the client is what a schema of the document describes."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if "$ref" in schema:
        return hint is getattr(models, schema["$ref"].removeprefix(REFERENCE), None)
    if "anyOf" in schema:
        parts = [part for part in schema["anyOf"] if part != {"type": "null"}]
        is_optional = len(parts) < len(schema["anyOf"])
        if hint is ANYTHING:
            return len(parts) > 1
        assert (origin in (types.UnionType, typing.Union)) is is_optional
        [inner] = [each for each in of if each is not type(None)] if is_optional else [hint]
        return is_same(inner, parts[0]) if len(parts) == 1 else inner is ANYTHING
    if "enum" in schema:
        return origin is typing.Literal and set(of) == set(schema["enum"])
    if schema.get("type") == "array":
        return origin is list and is_same(of[0], schema.get("items", {}))
    if schema.get("type") == "object":
        return origin is dict and of[0] is str and is_same(of[1], schema.get("additionalProperties", {}))
    names: dict[str | None, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, None: ANYTHING}
    return hint is names[schema.get("type")]


def test_a_field_that_a_newer_server_adds_is_left_out() -> None:
    row = {"id": 1, "first_at": 2, "state": "failed", "colour": "red"}
    assert decode(models.SameId, row) == models.SameId(id=1, first_at=2, state="failed")
