# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ids of commands: what is made is parsed, and what earlier releases made still names its owner."""

from __future__ import annotations

import re
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.command_ids import KINDS, NEW_BYTES, PAUSE, RESUME, CommandId, parse

AGENT = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""What agents of every release accept as an id."""
OWNERS = st.text("0123456789abcdefgXYZ_-", min_size=1, max_size=40)
PROCESSES = st.text("0123456789abcdef-", max_size=20)


@given(st.builds(CommandId, st.sampled_from(KINDS), OWNERS, st.integers(0, 200_000), PROCESSES))
@settings(deadline=None)
def test_an_id_that_was_made_is_parsed_as_it_was(id: CommandId) -> None:
    if len(id.owner) in (16, 32) and id.kind == "plan_item" and not id.number:
        return  # an item has a number
    assert parse(id.text) == id
    assert AGENT.fullmatch(id.text)


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_parsed_or_is_nobodys(text: str) -> None:
    found = parse(text)
    assert found is None or found.owner


@pytest.mark.parametrize(("text", "wanted"), [
    ("0123456789abcdef0123456789abcdef", CommandId("command", "0123456789abcdef0123456789abcdef")),
    ("0123456789abcdef0123456789abcdef.b00t", CommandId("command", "0123456789abcdef0123456789abcdef", 0, "b00t")),
    ("0123456789abcdef.17", CommandId("plan_item", "0123456789abcdef", 17)),
    ("0123456789abcdef.17.b00t", CommandId("plan_item", "0123456789abcdef", 17, "b00t")),
    ("fire.5f0c6b1e-0000-4000-8000-000000000001", CommandId("fire", "5f0c6b1e-0000-4000-8000-000000000001")),
    ("pause_queue.12.b00t.0a1b2c3d", CommandId("pause", "12", PAUSE, "b00t.0a1b2c3d")),
    ("resume_queue.12.b00t", CommandId("pause", "12", RESUME, "b00t")),
    ("overrides.0123456789abcdef", CommandId("overrides", "0123456789abcdef")),
    ("lookup.0123456789abcdef", CommandId("lookup", "0123456789abcdef")),
])  # fmt: skip
def test_ids_of_earlier_releases_still_name_their_owner(text: str, wanted: CommandId) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize("id", [
    CommandId("command", "0" * 32), CommandId("command", "0" * 32, 0, "b00t"), CommandId("plan_item", "0" * 16, 17),
    CommandId("plan_item", "0" * 16, 17, "b00t"), CommandId("fire", "5f0c6b1e-0000-4000-8000-000000000001"),
])  # fmt: skip
def test_what_an_earlier_release_has_sent_is_sent_again_under_the_id_it_had(id: CommandId) -> None:
    """Its agent has that id in its ledger: under another one it would run a second time."""
    old = ".".join(part for part in (id.owner, str(id.number or ""), id.process) if part)
    assert id.text == (f"fire.{id.owner}" if id.kind == "fire" else old)


def test_the_sizes_of_new_owner_ids_are_those_of_this_release() -> None:
    """Agents have ids of these sizes in their ledgers, so a later release must keep them."""
    assert NEW_BYTES == {"command": 12, "plan_item": 10}


@pytest.mark.parametrize(("id", "text"), [
    (CommandId("command", "a" * 24), "command.aaaaaaaaaaaaaaaaaaaaaaaa"),
    (CommandId("plan_item", "b" * 20, 3), "plan_item.bbbbbbbbbbbbbbbbbbbb.3"),
    (CommandId("pause", "12", PAUSE, "b00t-0a1b2c3d"), "pause.12.1:b00t-0a1b2c3d"),
    (CommandId("pause", "12", RESUME, "b00t-0a1b2c3d"), "pause.12.2:b00t-0a1b2c3d"),
    (CommandId("overrides", "c0ffee"), "overrides.c0ffee"),
    (CommandId("lookup", "c0ffee"), "lookup.c0ffee"),
])  # fmt: skip
def test_the_text_of_an_id_is_the_same_in_every_release(id: CommandId, text: str) -> None:
    assert id.text == text
    assert parse(text) == id


@pytest.mark.parametrize("kind", NEW_BYTES)
def test_a_new_owner_id_is_never_taken_for_one_of_an_earlier_release(kind: str) -> None:
    owner = secrets.token_hex(NEW_BYTES[kind])  # type: ignore[index]
    assert CommandId(kind, owner, 3).text == f"{kind}.{owner}.3"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "command", "fire.", "plan_item", "command.a.b", "command.a.1.2", "a b", "ä", "fire.a\n", "x" * 3 + "\n"]
)
def test_what_names_no_owner_is_nobodys(text: str) -> None:
    assert parse(text) is None
