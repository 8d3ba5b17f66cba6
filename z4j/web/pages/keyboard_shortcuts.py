# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of keys, as a page; `?` shows it over any other page."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.permissions import is_allowed
from z4j.web.frame.keyboard_shortcuts import EVERYWHERE, KEYS, Key
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import RAIL, make_shell


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """Keys of one kind of page."""

    where: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class KeysPage:
    """The context of keyboard_shortcuts/page.html."""

    shell: Shell
    groups: tuple[KeyGroup, ...]


async def page(request: Request) -> Response:
    """GET /keys."""
    shell = await make_shell(request, "keys")
    return render(request, "keyboard_shortcuts/page.html", KeysPage(shell, groups(shell.role)))


def groups(role: str) -> tuple[KeyGroup, ...]:
    """Returns all keys by the kind of page, those of the sections that a role may open after those of every page."""
    sections = tuple(Key(f"g {key}", word, EVERYWHERE) for word, _, _, key, needed in RAIL if is_allowed(role, needed))
    every = (*KEYS, *sections)
    return tuple(
        KeyGroup(where, tuple(key for key in every if key.where == where)) for where in dict.fromkeys(key.where for key in every)
    )  # fmt: skip
