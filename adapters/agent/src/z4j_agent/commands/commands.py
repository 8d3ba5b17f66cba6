# SPDX-License-Identifier: Apache-2.0
"""Executes commands of operators: checks the ledger (`command_ledger`), then the owner's settings, then calls the adapter (`handlers`).

A command's ID is written to the ledger before the command is executed, so a redelivered command never runs twice. After a crash in between,
the result is `unknown`. Every result is sent through the spool, like an event. Used by the agent's thread alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from z4j_agent.capture.broker import find_broker
from z4j_agent.capture.display import shorten, text_of
from z4j_agent.capture.guard import faults, let_through
from z4j_agent.commands.command_ledger import ACCEPTED, Ledger
from z4j_agent.commands.handlers import HANDLERS, CommandParams
from z4j_agent.commands.permissions import why_not
from z4j_agent.contract.adapter import Adapter, Refused, Unsupported
from z4j_agent.contract.scheduler import LEVEL as SCHEDULE_LEVEL
from z4j_agent.contract.scheduler import Scheduler
from z4j_agent.settings import Settings
from z4j_agent.wire import encode_record
from z4j_agent.wire.redaction import redact_answer, redact_text
from z4j_agent.wire.session import Command

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


class Commands:
    """Executes the commands of one process. `folder` is the spool folder, None without one. `adapters` and `schedulers` return those of
    this process, `append` is the spool's append, and `schedule` executes a command for a scheduler (`Scheduling.execute`). Results are
    `command` records."""

    def __init__(
        self,
        settings: Settings,
        folder: Path | None,
        adapters: Callable[[], Iterable[Adapter]],
        append: Callable[[bytes], bool],
        schedulers: Callable[[], Iterable[Scheduler]] = tuple,
        schedule: Callable[[Scheduler, Command], dict[str, Any]] | None = None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._ledger = Ledger(folder)
        self._adapters = adapters
        self._append = append
        self._schedulers = schedulers
        self._schedule = schedule

    def handle(self, command: Command, now: int) -> None:
        """Executes one command and appends its result, one of COMMAND_STATUS. `now` is in microseconds UTC; a command whose `expires_at`
        has passed is not executed. An ID that is in the ledger is answered and not executed again. Never raises."""
        if not _ID.fullmatch(command.id):  # it would become a line of the ledger, or several
            faults.report_problem("command", "bad id", "a command was ignored: its id may only contain letters, digits and -._:")
            return
        try:
            self._handle(command, now)
        except Exception as error:
            let_through(error)
            faults.report(f"command {command.action[:40]}", error)
            self._answer(command.id, "failed", {"error": f"{type(error).__name__} in the agent; the result is unknown"})

    def _handle(self, command: Command, now: int) -> None:
        begun = self._ledger.status(command.id)
        if begun is not None:
            if begun == ACCEPTED:
                text = "the agent ended while it executed the command; the result is unknown"
                self._answer(command.id, "unknown", {"error": text})
            else:
                self._answer(command.id, begun, {"note": "delivered again; this is the result of the first delivery"})
            return
        if command.expires_at <= now:
            self._answer(command.id, "expired", {"error": "the command expired before it reached the agent and was not executed"})
            return
        if (objection := why_not(self._settings, command.action)) is not None:
            self._answer(command.id, "refused", {"error": objection[0], "check": objection[1]})
            return
        self._ledger.write(command.id, ACCEPTED)
        self._answer(command.id, ACCEPTED, {})
        status, facts = self._execute(command)
        try:
            self._ledger.write(command.id, status)
        except OSError as error:  # the command was executed, and its result is reported
            faults.report("writing the ledger", error)
        self._answer(command.id, status, facts)

    def _execute(self, command: Command) -> tuple[str, dict[str, Any]]:
        try:
            return "done", self._act(command)
        except Unsupported as error:
            return "unsupported", {"error": str(error) or f"{command.engine} cannot do that"}
        except Refused as error:
            return "refused", {"error": str(error), **({"check": error.check} if error.check else {})}
        except Exception as error:
            let_through(error)
            return "failed", {"error": shorten(redact_text(f"{type(error).__name__}: {text_of(error)}"), 500)}

    def _act(self, command: Command) -> dict[str, Any]:
        """Executes the command with the adapter or the scheduler of that name."""
        if command.action in SCHEDULE_LEVEL and self._schedule is not None:
            for scheduler in self._schedulers():
                if scheduler.scheduler == command.engine:
                    return self._schedule(scheduler, command)
        adapter = next((adapter for adapter in self._adapters() if adapter.engine == command.engine), None)
        if adapter is None:
            raise Unsupported(f"no adapter for {command.engine} in this process")
        if all(able.action != command.action for able in adapter.capabilities):
            raise Unsupported(f"{command.engine} does not support this action in this process")
        broker = command.params.get("broker", "")
        if isinstance(broker, str) and broker:
            what = "queue" if command.action.endswith("_queue") else "task"
            adapter = adapter.of_broker(find_broker(broker, "", adapter.brokers(), what))
        return HANDLERS[command.action](CommandParams(command, adapter, self._settings, self._folder))

    def _answer(self, command_id: str, status: str, facts: dict[str, Any]) -> None:
        self._append(encode_record(["command", command_id, time.time_ns() // 1000, status, redact_answer(facts)]))
