# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stores and reads values that operators typed: masked for everyone, whole only for an agent.

Where redaction masks something, the whole value is stored beside it, encrypted (`value_encryption`). Where it masks nothing, nothing is
encrypted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from z4j.rules import operator_input, task_signatures
from z4j.store.sqlite import sql
from z4j.store.sqlite.db import Connection
from z4j.text import JsonObject
from z4j_agent.wire.redaction import RULES, redact_answer, redact_text
from z4j_agent.wire.task_signatures import redact_signature

SQL = sql.load("operations/operator_input")


def names_of(db: Connection, app_id: int, task_name: str) -> tuple[str, ...] | None:
    """Returns the positional parameters of a task as an agent reported them; None if no agent did, or if the signature is incomplete."""
    for (signature,) in db.execute(SQL["signatures_of"], {"app_id": app_id, "name": task_name}):
        parameters = task_signatures.parse(signature)
        if parameters is not None:
            return tuple(parameter.name for parameter in parameters if parameter.kind in ("positional", "either"))
    return None


def close_params(db: Connection, id: str, app_id: int, params: JsonObject, task_name: str = "") -> tuple[JsonObject, str]:
    """Returns the parameters of a command masked, and whole and encrypted; the latter is "" if nothing is masked."""
    name = task_name or str(params.get("task_name") or params.get("name") or "")
    shown = operator_input.shown_params(params, names_of(db, app_id, name))
    return shown, "" if shown == params else db.seal.close(params, f"command {id}")


def close_arguments(db: Connection, app_id: int, key: str, task_name: str, args: str, kwargs: str) -> tuple[str, str, str]:
    """Returns (args, kwargs, sealed) of a schedule of z4j's own: masked JSON, and the whole values encrypted."""
    whole = {"args": json.loads(args), "kwargs": json.loads(kwargs)}
    shown = operator_input.shown_params(whole, names_of(db, app_id, task_name))
    if shown == whole:
        return args, kwargs, ""
    return json.dumps(shown["args"]), json.dumps(shown["kwargs"]), db.seal.close(whole, f"schedule {app_id} {key}")


def close_spec(db: Connection, app_id: int, key: str, spec: JsonObject | None) -> tuple[str | None, str]:
    """Returns (spec, sealed) of an override: masked JSON, and the whole spec encrypted."""
    if spec is None:
        return None, ""
    shown = operator_input.shown_params(spec, names_of(db, app_id, str(spec.get("task_name") or "")))
    return json.dumps(shown), "" if shown == spec else db.seal.close(spec, f"override {app_id} {key}")


def close_stored(db: Connection) -> int:
    """Rewrites what releases without a key, or with older rules of redaction, stored in clear. Returns how many rows were changed.

    It reads every unsealed row, so it is noted in the database when it is done: later starts read the note alone.
    """
    done = db.execute(SQL["read_closed"]).fetchone()
    if done is not None and int(done[0]) >= RULES:
        return 0
    db.execute("PRAGMA secure_delete = 1")  # what is overwritten here leaves no copy within its page
    try:
        changed = _close_stored(db) + _redact_stored(db)
    finally:
        db.execute("PRAGMA secure_delete = 0")
    db.execute(SQL["put_closed"], {"rules": str(RULES)})
    return changed


def _redact_stored(db: Connection) -> int:
    """Texts that older rules let through: reasons and answers of commands, plans, fires, notes, signatures.
    Rows of the audit log are signed and stay; arguments and errors of tasks stay until retention deletes them."""
    changed = 0
    for read, write, redact_columns in _TEXTS:
        for row in db.execute(SQL[read]).fetchall():
            key, texts = row[: -len(redact_columns)], row[-len(redact_columns) :]
            masked = tuple(redact_column(text) for redact_column, text in zip(redact_columns, texts, strict=True))
            if masked != texts:
                changed += db.execute(SQL[write], (*masked, *key)).rowcount
    return changed


def _json(name: str) -> Callable[[str], str]:
    """Of a column that holds JSON, whose values are under `name`."""

    def redact_column(text: str) -> str:
        value = json.loads(text)
        masked = redact_answer(value, name)
        return text if masked == value else json.dumps(masked)

    return redact_column


#: What reads a table, what writes it, and how each of its text columns is masked. Columns of the key come first.
_TEXTS: Final[tuple[tuple[str, str, tuple[Callable[[str], str], ...]], ...]] = (
    ("texts_of_command", "put_texts_of_command", (redact_text, _json(""))),
    ("texts_of_plan", "put_texts_of_plan", (redact_text, redact_text)),
    ("texts_of_plan_item", "put_texts_of_plan_item", (redact_text,)),
    ("texts_of_fire", "put_texts_of_fire", (redact_text,)),
    ("texts_of_fault", "put_texts_of_fault", (redact_text,)),
    ("texts_of_scheduler", "put_texts_of_scheduler", (_json("failed"), _json("notes"))),
    ("texts_of_schedule", "put_texts_of_schedule", (_json("unable"), redact_text)),
    ("texts_of_task_name", "put_texts_of_task_name", (redact_signature, redact_text)),
    ("texts_of_error", "put_texts_of_error", (redact_text, redact_text)),
    ("texts_of_agent", "put_texts_of_agent", (_json("notes"), _json("notes"), redact_text)),
)


def _close_stored(db: Connection) -> int:
    changed = 0
    for id, app_id, params, is_open in db.execute(SQL["unsealed_commands"]).fetchall():
        whole = json.loads(params)
        shown, sealed = close_params(db, id, app_id, whole)
        if shown != whole:
            changed += db.execute(SQL["put_command"], {"id": id, "params": json.dumps(shown), "sealed": sealed if is_open else ""}).rowcount
    for id, app_id, key, task_name, args, kwargs, is_own in db.execute(SQL["unsealed_schedules"]).fetchall():
        if not is_own:
            continue
        shown_args, shown_kwargs, sealed = close_arguments(db, app_id, key, task_name, args, kwargs)
        if sealed:
            changed += db.execute(SQL["put_schedule"], {"id": id, "args": shown_args, "kwargs": shown_kwargs, "sealed": sealed}).rowcount
    for app_id, environment, scheduler, key, spec in db.execute(SQL["unsealed_overrides"]).fetchall():
        shown_spec, sealed = close_spec(db, app_id, key, json.loads(spec))
        if sealed:
            place = {"app_id": app_id, "environment": environment, "scheduler": scheduler, "key": key}
            changed += db.execute(SQL["put_override"], place | {"spec": shown_spec, "sealed": sealed}).rowcount
    for id, reason, changes, app_id, task_name in db.execute(SQL["all_edits"]).fetchall():
        shown_edit = operator_input.shown_changes(json.loads(changes), names_of(db, app_id, task_name))
        news = {"id": id, "reason": operator_input.shown_reason(reason), "changes": json.dumps(shown_edit)}
        if news["reason"] != reason or json.loads(news["changes"]) != json.loads(changes):
            changed += db.execute(SQL["put_edit"], news).rowcount
    return changed
