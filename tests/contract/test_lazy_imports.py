# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every name that is imported at first use exists, and is what its caller expects: a type checker does not see these names."""

from __future__ import annotations

import argparse
import inspect
import typing

import pytest
from starlette.requests import Request
from starlette.responses import Response

from z4j.cli import GROUPS, _command, _parser
from z4j.lazy_imports import load
from z4j.web.api.openapi import OPERATIONS
from z4j.web.routes import PAGES, R, all_rows


@pytest.mark.parametrize("row", all_rows(), ids=lambda row: f"{row.method} {row.path}")
def test_every_route_names_an_endpoint(row: R) -> None:
    endpoint = load(f"z4j.web.{row.endpoint}")
    assert inspect.iscoroutinefunction(endpoint)
    [parameter] = inspect.signature(endpoint).parameters
    types = typing.get_type_hints(endpoint)
    assert types[parameter] is Request
    assert issubclass(types["return"], Response)


@pytest.mark.parametrize("module", GROUPS.values())
def test_every_group_of_commands_names_its_module(module: str) -> None:
    assert callable(load(f"z4j.cli.{module}:add_commands"))


def test_the_parser_of_one_command_is_a_part_of_the_whole() -> None:
    """And every command of the whole is a function, or the name of one."""
    whole = _commands(_parser())
    assert {name for group in GROUPS for name in _commands(_parser(group))} == set(whole)
    assert len(whole) > len(GROUPS)
    for name, parser in whole.items():
        command = parser.get_default("command")
        if command is not None:
            assert callable(_command(command)), name


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [found] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found.choices)


def test_the_operations_are_served_as_they_are_described() -> None:
    served = {(row.method, row.path, row.role): load(f"z4j.web.{row.endpoint}") for row in all_rows()[len(PAGES) :]}
    assert served == {(each.method, each.path, each.role): each.endpoint for each in OPERATIONS}
