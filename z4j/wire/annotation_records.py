# SPDX-License-Identifier: AGPL-3.0-or-later
"""The note of a `started` record: what an attempt reports about itself while it runs (`z4j_agent.wire.kinds.NOTE_KEYS`)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from z4j.rules.tasks import run_annotations
from z4j.rules.tasks.fold import MAX_AT
from z4j.rules.tasks.run_annotations import RunAnnotations
from z4j.wire.texts import text
from z4j_agent.wire.redaction import redact, redact_text

_At = Annotated[int, Meta(ge=0, lt=MAX_AT)]
_Name = Annotated[str, Meta(min_length=1, max_length=run_annotations.MAX_KEY)]
_Text = Annotated[str, Meta(max_length=run_annotations.MAX_VALUE)]
_Id = Annotated[str, Meta(max_length=64, pattern="^[0-9A-Za-z-]*$")]
_Amount = Annotated[float, Meta(gt=-(2.0**53), lt=2.0**53)]


class Note(Struct, gc=False, frozen=True):
    """What an attempt reports about itself (`z4j_agent.wire.kinds.NOTE_KEYS`)."""

    fields: Annotated[dict[_Name, tuple[_At, _Text]], Meta(max_length=run_annotations.MAX_FIELDS)] = {}
    ids: Annotated[dict[_Name, tuple[_At, _Id]], Meta(max_length=8)] = {}
    progress: tuple[_At, _Amount, _Amount | None, _Text] | None = None
    excess: Annotated[int, Meta(ge=0, lt=1 << 31)] = 0

    def annotations(self, *, is_redacted: bool) -> RunAnnotations:
        """Returns what is stored of it, redacted again unless its agent has the same rules."""
        fields = {
            text(name, run_annotations.MAX_KEY): (at, text(value, run_annotations.MAX_VALUE)) for name, (at, value) in self.fields.items()
        }
        said = ""
        if self.progress is not None:
            said = text(self.progress[3], run_annotations.MAX_VALUE)
        if not is_redacted:
            fields = {name: (at, _redacted_value(name, value)) for name, (at, value) in fields.items()}
            said = redact_text(said)
        progress: run_annotations.Progress | tuple[()] = ()
        if self.progress is not None:
            at, done, total, _ = self.progress
            progress = (at, done, -1.0 if total is None or total < 0 else total, said)
        ids = {name: (at, id.lower()) for name, (at, id) in self.ids.items() if name in run_annotations.ID_NAMES}
        return RunAnnotations(fields, ids, self.excess, progress)


def _redacted_value(name: str, value: str) -> str:
    return "".join(str(shown) for shown in redact({name: value})[0].values())
