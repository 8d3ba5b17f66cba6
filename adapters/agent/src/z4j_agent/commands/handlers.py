# SPDX-License-Identifier: Apache-2.0
"""From a command's parameters to the adapter's method: one function per action, each of which checks the parameters.

A server's parameters may be malformed: one that is missing or of another type refuses the command.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from z4j_agent.capture.broker import find_broker
from z4j_agent.capture.originals import CannotOpen, open_original
from z4j_agent.commands.edits import apply_edit
from z4j_agent.commands.permissions import check_name, check_queue, keys_of, why_not
from z4j_agent.contract.adapter import LEVELS, SECTIONS, Adapter, Original, Refused, Unsupported
from z4j_agent.runtime import stacks
from z4j_agent.settings import Settings
from z4j_agent.wire.session import Command

MAX_PEEK: Final = 200
MAX_ARGUMENTS: Final = 256 * 1024
"""Bytes of JSON of arguments that an operator types."""
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class CommandParams:
    """A command, the adapter it is for, and the owner's settings. Its methods read parameters, which come from the server, and raise
    Refused for one that is missing or of another type."""

    command: Command
    adapter: Adapter
    settings: Settings
    folder: Path | None = None
    """The spool folder."""

    def text(self, name: str, default: str | None = None) -> str:
        """Returns a text parameter. Raises Refused when it is missing and has no default, or is not a text."""
        value = self.command.params.get(name, default)
        if not isinstance(value, str):
            raise Refused(f"the command lacks {name}")
        return value

    def number(self, name: str) -> float | None:
        """Returns a number, or None if the parameter is missing or null. Raises Refused for any other type, also for true and false, and
        for NaN and Infinity, which `json.loads` accepts."""
        value = self.command.params.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise Refused(f"{name} is not a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(f"{name} is not a finite number")
        return value

    def integer(self, name: str) -> int | None:
        """Returns a number without its fraction, or None if the parameter is missing or null. Raises Refused if it is not a finite number,
        or not of 64 bits."""
        value = self.number(name)
        if value is not None and not -(2**63) <= value < 2**63:
            raise Refused(f"{name} is too large")
        return None if value is None else int(value)

    def one_of(self, name: str, words: tuple[str, ...]) -> str:
        """Returns one of the words, the first where the parameter is missing. Raises Refused for any other text."""
        word = self.text(name, words[0])
        if word not in words:
            raise Refused(f"{name} must be one of {', '.join(words)}")
        return word

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Returns the parameters `args` (a list) and `kwargs` (an object), empty where they are missing. Raises Refused for other types, or
        above MAX_ARGUMENTS characters of JSON."""
        args, kwargs = self.command.params.get("args", []), self.command.params.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Refused("args must be a list and kwargs an object")
        if len(json.dumps((args, kwargs))) > MAX_ARGUMENTS:
            raise Refused(f"the arguments are larger than {MAX_ARGUMENTS // 1024} KB", check="arguments.size")
        return args, kwargs

    def new_id(self) -> str:
        """Returns the id of the new task. Raises Refused unless it is a UUID in lower case: so it cannot equal an id that the application
        chose itself."""
        value = self.text("new_id")
        if not _UUID.fullmatch(value):
            raise Refused("the command's new task id is not a UUID", check="task_id.form")
        return value

    def queue(self) -> str:
        """Returns a queue of the application. Raises Refused for any other."""
        name = self.text("queue")
        self._check_queue(name)
        return name

    def original(self) -> Original:
        """Opens the original in the command. Raises CannotOpen or Refused.

        The task and its queue come from the authenticated message. A name, queue or broker in the command must be the same. `move_to` is
        another queue of the application: a move, which requires the owner's permission.
        """
        try:
            blob = base64.b64decode(self.text("original", ""), validate=True)
        except ValueError as error:  # also of text that is not ASCII
            raise CannotOpen("the command contained no readable original", check="original.format") from error
        task_id, name, queue = self.text("task_id"), self.text("name", ""), self.text("queue", "")
        opened = open_original(
            blob, self.command.engine, task_id, self.settings.environment,
            key_id=self.command.params.get("key_id"), keys=keys_of(self.settings),
        )  # fmt: skip
        bound = opened.binding
        if bound is None:
            check_name(self.adapter, self.command.engine, name, self.command.params.get("proofs"), self.settings)
            self._check_queue(queue)
            return Original(task_id, name, queue, opened.data, is_bound=False)
        for part, stated, own in (("name", name, bound.name), ("queue", queue, bound.queue)):
            if stated and stated != own:
                raise CannotOpen(f"the command has the {part} {stated[:80]}, but the original has {own[:80]}", check=f"original.{part}")
        broker = find_broker(bound.broker, bound.server, self.adapter.brokers())
        return Original(task_id, bound.name, self._moved(bound.queue), opened.data, broker)

    def _moved(self, queue: str) -> str:
        """The queue an operator moved the task to, where the owner permits moves."""
        to = self.text("move_to", "")
        if not to or to == queue:
            return queue
        if (objection := why_not(self.settings, "move_task")) is not None:
            raise Refused(objection[0], check=objection[1])
        self._check_queue(to)
        return to

    def with_reported_queue(self) -> Adapter:
        """Sets the adapter's `waits_in` to the queue that the server reports for the task, if that is a queue of the application, else to
        "". Returns the adapter."""
        name, proof = ("from_queue", "from_queue_proof") if self.command.action == "move_task" else ("queue", "queue_proof")
        queue = self.text(name, "")
        with contextlib.suppress(Refused):
            check_queue(self.adapter, queue, self.command.params.get(proof), self.settings)
            self.adapter.waits_in = queue
            return self.adapter
        self.adapter.waits_in = ""
        return self.adapter

    def _check_queue(self, queue: str) -> None:
        check_queue(self.adapter, queue, self.command.params.get("queue_proof"), self.settings)


def _edit(params: CommandParams) -> dict[str, Any]:
    new_id, original, edit = params.new_id(), params.original(), params.command.params.get("edit")
    args, kwargs = apply_edit(*params.adapter.read_arguments(original), edit if isinstance(edit, dict) else {})
    return params.adapter.edit_task(original, args, kwargs, new_id=new_id)


def _restore(params: CommandParams) -> dict[str, Any]:
    return params.adapter.restore_task(
        params.original(), new_id=params.new_id(), eta_at=params.integer("eta_at"), priority=params.integer("priority")
    )


def _run(params: CommandParams) -> dict[str, Any]:
    name, (args, kwargs) = params.text("name"), params.arguments()
    check_name(params.adapter, params.command.engine, name, params.command.params.get("proofs"), params.settings)
    queue = params.queue() if params.text("queue", "") else ""
    return params.adapter.run_task(name, args, kwargs, new_id=params.new_id(), queue=queue)


def _peek(params: CommandParams) -> dict[str, Any]:
    limit = min(max(params.integer("limit") or 50, 1), MAX_PEEK)
    return {"tasks": [asdict(task) for task in params.adapter.peek_queue(params.queue(), params.one_of("place", SECTIONS), limit)]}


def _inspect(params: CommandParams) -> dict[str, Any]:
    """The agent executes it itself, for every adapter that declares it."""
    if objection := stacks.why_not(params.settings, params.adapter):
        raise Unsupported(objection)
    return stacks.read(params.folder, params.command.engine, params.text("task_id"), params.text("process", ""))


def _limit(params: CommandParams) -> dict[str, Any]:
    name, rate = params.text("name"), params.command.params.get("rate")
    check_name(params.adapter, params.command.engine, name, None, params.settings)
    return params.adapter.limit_name(name, None if rate is None else str(rate), params.number("soft_s"), params.number("hard_s"))


HANDLERS: Final[dict[str, Callable[[CommandParams], dict[str, Any]]]] = {
    "retry_task": lambda params: params.adapter.retry_task(params.original(), new_id=params.new_id()),
    "edit_task": _edit,
    "restore_task": _restore,
    "run_task": _run,
    "cancel_task": lambda params: params.adapter.cancel_task(params.text("task_id")),
    "terminate_task": lambda params: params.adapter.terminate_task(params.text("task_id")),
    "move_task": lambda params: params.with_reported_queue().move_task(params.text("task_id"), params.queue()),
    "prioritise_task": lambda params: params.with_reported_queue().prioritise_task(params.text("task_id"), params.one_of("level", LEVELS)),
    "release_task": lambda params: params.with_reported_queue().release_task(params.text("task_id")),
    "lookup_task": lambda params: params.adapter.lookup_task(params.text("task_id")),
    "inspect_task": _inspect,
    "peek_queue": _peek,
    "purge_queue": lambda params: params.adapter.purge_queue(params.queue(), params.one_of("place", SECTIONS)),
    "pause_queue": lambda params: params.adapter.pause_queue(params.text("queue")),
    "resume_queue": lambda params: params.adapter.resume_queue(params.text("queue")),
    "shutdown_worker": lambda params: params.adapter.shutdown_worker(),
    "restart_worker": lambda params: params.adapter.restart_worker(),
    "resize_worker": lambda params: params.adapter.resize_worker(params.integer("by") or 0),
    "consume_queue": lambda params: params.adapter.consume_queue(params.queue()),
    "leave_queue": lambda params: params.adapter.leave_queue(params.text("queue")),
    "limit_name": _limit,
}
