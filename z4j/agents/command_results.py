# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores the results that agents report, each with the owner of its command, by its id.

A result is stored in the transaction that stores its batch (`settle`). `Outbox.answered` passes it to the owner after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from z4j.rules.command_ids import CommandId, Kind, parse
from z4j.store.operations import commands, plans
from z4j.store.schedules import fires
from z4j.store.sqlite.db import Connection
from z4j.text import Json
from z4j.wire.records import CommandResult


class Answer(NamedTuple):
    """`status` is one of `z4j_agent.wire.COMMAND_STATUS`, `fields` what the agent reports of it."""

    id: CommandId
    status: str
    fields: Mapping[str, Json]
    spool: str | None = None
    """The folder of the agent that answers; None if unknown."""


class Sender(NamedTuple):
    """Who answers: an app's agents of one spool folder; None if unknown: then any agent of the app may answer."""

    app_id: int
    spool: str | None = None


def settle(db: Connection, sender: Sender, record: CommandResult) -> tuple[Answer | None, frozenset[str]]:
    """Stores one answer. Returns it for its owner, and the topics of `live` that it changed; None where it is nobody's, where its command
    was sent to another folder, or where it is the result of a copy."""
    id = parse(record.command_id)
    if id is None or id.process:
        return None, frozenset()
    answer = Answer(id, record.status, record.facts or {}, sender.spool)
    keep = STORED.get(id.kind)
    if keep is None:
        return answer, frozenset()
    topics = keep(db, sender, answer, record.at)
    return (answer, topics) if topics else (None, topics)


def _command(db: Connection, sender: Sender, answer: Answer, at: int) -> frozenset[str]:
    is_news = commands.finish_command(db, sender.app_id, answer.id.owner, at, answer.status, dict(answer.fields), sender.spool)
    return frozenset(("changes",)) if is_news else frozenset()


def _plan_item(db: Connection, sender: Sender, answer: Answer, at: int) -> frozenset[str]:
    item = answer.id.owner, answer.id.number
    is_news = plans.finish_item(db, sender.app_id, *item, at, answer.status, dict(answer.fields), sender.spool)
    return frozenset(("plans",)) if is_news else frozenset()


def _fire(db: Connection, sender: Sender, answer: Answer, at: int) -> frozenset[str]:
    error = str(answer.fields.get("error") or "")
    is_news = fires.finish_own(db, sender.app_id, answer.id.owner, answer.status, error, sender.spool)
    return frozenset(("schedules",)) if is_news else frozenset()


STORED: Final[Mapping[Kind, Callable[[Connection, Sender, Answer, int], frozenset[str]]]] = {
    "command": _command,
    "plan_item": _plan_item,
    "fire": _fire,
}
"""Kinds whose answers are stored; the others are kept in memory only (`lookup`), or are sent again as they are (`pause`, `overrides`)."""
