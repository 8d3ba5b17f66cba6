# SPDX-License-Identifier: AGPL-3.0-or-later
"""Masks values that operators typed, for display and storage: by name, form and context, as agents do. Pure.

`names` are the positional parameters of a task, as an agent has reported them; None for a task whose parameters are unknown: a text
by position may then be a secret, so all of them are masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from z4j.text import Json, JsonObject
from z4j_agent.wire.redaction import MASK, redact, redact_arguments, redact_text
from z4j_agent.wire.unmask import ABSENT, unmask

Names = Sequence[str] | None


def shown_params(params: Mapping[str, Json], names: Names) -> JsonObject:
    """Returns the parameters of a command with secrets masked."""
    shown = dict(params)
    if isinstance(args := shown.get("args"), list):
        shown["args"] = shown_args(args, names)
    if isinstance(shown.get("kwargs"), dict):
        shown["kwargs"] = redact(shown["kwargs"])[0]
    if isinstance(edit := shown.get("edit"), dict):
        shown_edit = dict(edit)
        if isinstance(places := edit.get("args"), dict):
            shown_edit["args"] = {place: _shown_at(place, value, names) for place, value in places.items()}
        if isinstance(kwargs := edit.get("kwargs"), dict):
            shown_edit["kwargs"] = redact(kwargs)[0]
        shown["edit"] = shown_edit
    return shown


def shown_args(args: Sequence[Json], names: Names) -> list[Json]:
    """Returns positional arguments with secrets masked, each by the name of its parameter."""
    if names is None:
        return [MASK if isinstance(value, str) and value else redact([value])[0][0] for value in args]
    return [*redact_arguments(args[: len(names)], names)[0], *redact(list(args[len(names) :]))[0]]


def shown_changes(changes: Mapping[str, Json], names: Names) -> JsonObject:
    """Returns {field: [before, after]} of a schedule's edit with secrets masked; arguments are JSON texts."""
    shown = dict(changes)
    for field in ("args", "kwargs"):
        if isinstance(pair := shown.get(field), list | tuple):
            shown[field] = [_shown_json(text, names if field == "args" else ()) for text in pair]
    return shown


def shown_reason(text: str) -> str:
    """Returns a reason or a note with secrets masked, at most 500 characters."""
    return redact_text(text)[:500]


def shown_note(text: str) -> str:
    """Returns a note or a pattern with secrets masked, whole."""
    return redact_text(text)


def unmasked(new: Json, old: Json, where: str = "the value", *, is_stored: bool = True) -> Json:
    """Returns the typed value, with the old value wherever it still contains the mask, by the rule of `z4j_agent.wire.unmask`.

    Raises ValueError if the text around a mask was changed, or if there is no old value for it. If the value is not stored here
    (`is_stored` is False), the agent has the old value, and the mask stays.
    """
    whole: Json = unmask(new, ABSENT if old is None else old, where, is_kept=is_stored)
    return whole


def _shown_at(place: str, value: Json, names: Names) -> Json:
    if names is None:
        return shown_args([value], None)[0]
    name = names[int(place)] if place.isdecimal() and len(place) < 100 and int(place) < len(names) else ""
    shown: Json = redact_arguments([value], [name])[0][0]
    return shown


def _shown_json(text: Json, names: Names) -> Json:
    if not isinstance(text, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return redact_text(text)
    return json.dumps(shown_args(value, names) if isinstance(value, list) else redact(value)[0], ensure_ascii=False)
