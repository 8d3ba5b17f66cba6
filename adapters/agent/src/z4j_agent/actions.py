# SPDX-License-Identifier: Apache-2.0
"""From a command's parameters to the adapter's method: one function per action, each of which checks what it was given.

What a server sends is not trusted to be well formed: a parameter that is missing or of another type refuses the one command.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from z4j_agent.adapter import LEVELS, PLACES, Adapter, Original, Refused
from z4j_agent.edits import apply_edit
from z4j_agent.originals import CannotOpen, is_sealed, open_original
from z4j_agent.session import Command
from z4j_agent.settings import SealKey

MAX_PEEK: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A command and the keys that may open what it carries."""

    command: Command
    keys: tuple[SealKey, ...]

    def text(self, name: str, default: str | None = None) -> str:
        """A text parameter. Raises Refused when it is missing and has no default."""
        found = self.command.params.get(name, default)
        if not isinstance(found, str):
            raise Refused(f"the command lacks {name}")
        return found

    def number(self, name: str) -> float | None:
        """A number, or None when there is none."""
        found = self.command.params.get(name)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
            raise Refused(f"{name} is not a number")
        return found

    def integer(self, name: str) -> int | None:
        found = self.number(name)
        return None if found is None else int(found)

    def one_of(self, name: str, words: tuple[str, ...]) -> str:
        """One of the words, the first where the parameter is missing."""
        found = self.text(name, words[0])
        if found not in words:
            raise Refused(f"{name} is one of {', '.join(words)}")
        return found

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        args, kwargs = self.command.params.get("args", []), self.command.params.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Refused("args is a list and kwargs an object")
        return args, kwargs

    def original(self) -> Original:
        """The message that came along, opened. Raises CannotOpen."""
        try:
            blob = base64.b64decode(self.text("original", ""), validate=True)
        except binascii.Error as error:
            raise CannotOpen("the command carried no readable original") from error
        task_id = self.text("task_id")
        data = open_original(blob, self.command.engine, task_id, key_id=self.command.params.get("key_id"), keys=self.keys)
        return Original(task_id, self.text("name", ""), self.text("queue", ""), data, is_sealed(blob))


def _edit(adapter: Adapter, asked: Asked) -> dict[str, Any]:
    original = asked.original()
    edit = asked.command.params.get("edit")
    args, kwargs = apply_edit(*adapter.read_arguments(original), edit if isinstance(edit, dict) else {})
    return adapter.edit_task(original, args, kwargs, new_id=asked.text("new_id"))


def _restore(adapter: Adapter, asked: Asked) -> dict[str, Any]:
    return adapter.restore_task(
        asked.original(), new_id=asked.text("new_id"), eta_at=asked.integer("eta_at"), priority=asked.integer("priority")
    )


def _run(adapter: Adapter, asked: Asked) -> dict[str, Any]:
    args, kwargs = asked.arguments()
    return adapter.run_task(asked.text("name"), args, kwargs, new_id=asked.text("new_id"), queue=asked.text("queue", ""))


def _peek(adapter: Adapter, asked: Asked) -> dict[str, Any]:
    limit = min(max(asked.integer("limit") or 50, 1), MAX_PEEK)
    return {"tasks": [asdict(task) for task in adapter.peek_queue(asked.text("queue"), asked.one_of("place", PLACES), limit)]}


def _limit(adapter: Adapter, asked: Asked) -> dict[str, Any]:
    rate = asked.command.params.get("rate")
    return adapter.limit_name(asked.text("name"), None if rate is None else str(rate), asked.number("soft_s"), asked.number("hard_s"))


CARRIED_OUT: Final[dict[str, Callable[[Adapter, Asked], dict[str, Any]]]] = {
    "retry_task": lambda adapter, asked: adapter.retry_task(asked.original(), new_id=asked.text("new_id")),
    "edit_task": _edit,
    "restore_task": _restore,
    "run_task": _run,
    "cancel_task": lambda adapter, asked: adapter.cancel_task(asked.text("task_id")),
    "terminate_task": lambda adapter, asked: adapter.terminate_task(asked.text("task_id")),
    "move_task": lambda adapter, asked: adapter.move_task(asked.text("task_id"), asked.text("queue")),
    "prioritise_task": lambda adapter, asked: adapter.prioritise_task(asked.text("task_id"), asked.one_of("level", LEVELS)),
    "release_task": lambda adapter, asked: adapter.release_task(asked.text("task_id")),
    "lookup_task": lambda adapter, asked: adapter.lookup_task(asked.text("task_id")),
    "peek_queue": _peek,
    "purge_queue": lambda adapter, asked: adapter.purge_queue(asked.text("queue"), asked.one_of("place", PLACES)),
    "pause_queue": lambda adapter, asked: adapter.pause_queue(asked.text("queue")),
    "resume_queue": lambda adapter, asked: adapter.resume_queue(asked.text("queue")),
    "shutdown_worker": lambda adapter, asked: adapter.shutdown_worker(),
    "restart_worker": lambda adapter, asked: adapter.restart_worker(),
    "resize_worker": lambda adapter, asked: adapter.resize_worker(asked.integer("by") or 0),
    "consume_queue": lambda adapter, asked: adapter.consume_queue(asked.text("queue")),
    "leave_queue": lambda adapter, asked: adapter.leave_queue(asked.text("queue")),
    "limit_name": _limit,
}
