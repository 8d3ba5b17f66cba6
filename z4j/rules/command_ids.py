# SPDX-License-Identifier: AGPL-3.0-or-later
"""Creates and parses ids of commands on the wire, `<kind>.<owner id>.<n>`; no other module does. Pure.

An agent repeats the id in its answer as an opaque text, and remembers it in the ledger of its spool folder: a command that is sent again
must have the id that it had before, also where the server was upgraded in between. Releases before this grammar sent a command of an
operator and an item of a plan without their kind; the owner ids of those releases have lengths that no new one has (`NEW_BYTES`), so the
owner id alone decides which form the id has.

    command.<id>                 a row of `command`                                before: <32 hex digits>
    plan_item.<key>.<number>     an item of a plan                                 before: <16 hex digits>.<number>
    fire.<task id>               a fire of a schedule of z4j's own, by the task that it makes
    pause.<row>.<1 or 2>:<…>     a paused queue, and its end                       before: pause_queue.<row>.<…>, resume_queue.<row>.<…>
    overrides.<random>           the overrides of a scheduler, all of them
    lookup.<random>              a question of the server to an engine

`:<process>` at the end marks a copy for one process, which must do it whatever the ledger of its folder says (before: `.<process>`). What
a copy answers is never the answer of its owner.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

Kind = Literal["command", "plan_item", "fire", "overrides", "pause", "lookup"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
NEW_BYTES: Final[dict[Kind, int]] = {"command": 12, "plan_item": 10}
"""Random bytes of a new owner id, written as hex digits: never as many as an owner id of an earlier release has."""
_OLD_OWNER: Final[dict[Kind, re.Pattern[str]]] = {"command": re.compile(r"[0-9a-f]{32}"), "plan_item": re.compile(r"[0-9a-f]{16}")}
_ID: Final = re.compile(rf"({'|'.join(KINDS)})\.([A-Za-z0-9_-]+)(?:\.([0-9]{{1,9}}))?(?::(.+))?")
_OLD_ITEM: Final = re.compile(r"([0-9a-f]{16})\.([0-9]{1,9})(?:\.(.+))?")
_OLD_PAUSE: Final = re.compile(r"(pause|resume)_queue\.([0-9]+)\.(.+)")
_OLD_COMMAND: Final = re.compile(r"([A-Za-z0-9_-]+)(?:\.(.+))?")
PAUSE: Final = 1
RESUME: Final = 2


@dataclass(frozen=True, slots=True)
class CommandId:
    """Whose command it is. `number` is 0 where the owner has only one."""

    kind: Kind
    owner: str
    number: int = 0
    process: str = ""
    """Of a copy: the process that it is for."""

    @property
    def text(self) -> str:
        """As it is sent. The same for the same command in every release."""
        number = f".{self.number}" if self.number else ""
        if (old := _OLD_OWNER.get(self.kind)) is not None and old.fullmatch(self.owner):
            return f"{self.owner}{number}{f'.{self.process}' if self.process else ''}"
        return f"{self.kind}.{self.owner}{number}{f':{self.process}' if self.process else ''}"


def parse(text: str) -> CommandId | None:
    """Parses an id of any release. Returns None for a text that is no id of a command."""
    if (match := _ID.fullmatch(text)) is not None:
        kind, owner, number, process = match.groups()
        return CommandId(cast(Kind, kind), owner, int(number or 0), process or "")
    if (match := _OLD_ITEM.fullmatch(text)) is not None:
        return CommandId("plan_item", match[1], int(match[2]), match[3] or "")
    if (match := _OLD_PAUSE.fullmatch(text)) is not None:
        return CommandId("pause", match[2], PAUSE if match[1] == "pause" else RESUME, match[3])
    if (match := _OLD_COMMAND.fullmatch(text)) is not None and match[1] not in KINDS:
        return CommandId("command", match[1], 0, match[2] or "")
    return None
