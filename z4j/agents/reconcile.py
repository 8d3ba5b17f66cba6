# SPDX-License-Identifier: AGPL-3.0-or-later
"""Queries engines about tasks of vanished processes before these tasks are marked as lost.

Any connected agent of the same app, engine and environment can ask; the question is a `lookup_task` command that is kept in memory
only, because a restarted server queries again. The outcome that the engine has becomes the end of the task, marked as looked up; a task
that is in the broker waits again. It is `lost`, with what is known of its process, only if the engine has no information, or no agent
answers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from z4j import clock
from z4j.agents.command_frames import OutgoingCommand
from z4j.agents.command_owner import Owner
from z4j.agents.command_results import Answer
from z4j.agents.connections import Need
from z4j.agents.ingest import ServerFact, ingest_facts
from z4j.agents.outbox import Outbox
from z4j.duty_loop import WHENEVER_S, Duties
from z4j.exceptions import StoreError
from z4j.rules.command_ids import CommandId
from z4j.rules.tasks.fold import Event
from z4j.rules.tasks.states import FLAGS
from z4j.store.tasks.stale_tasks import StaleTask
from z4j.text import Json

ANSWER_US: Final = 15_000_000
AGAIN_US: Final = 60_000_000
"""After an inconclusive result the engine is queried again: this long later, each time five times as long, at most an hour."""
AT_MOST_US: Final = 3_600_000_000
OUTSTANDING: Final = 20
"""Questions at a time to one engine of an app: some search a whole queue for the answer."""
REMEMBERED: Final = 50_000
ENDS: Final = {
    "succeeded": "", "failed": "The engine reported that the task failed. Its process ended before it reported the reason.", "cancelled": ""
}  # fmt: skip
Key = tuple[int, str, str, int]


@dataclass(slots=True)
class _Question:
    task: StaleTask
    id: str
    """Empty once it was answered."""
    spool: str
    """The spool folder of the agent that was queried."""
    asked_at: int
    times: int = 1
    again_at: int = 0
    word: str = ""
    """Why the engine could not tell."""


class Reconcile(Owner):
    """One per server."""

    kind = "lookup"

    def __init__(self, outbox: Outbox, changed: Callable[[Iterable[str]], None], duties: Duties | None = None) -> None:
        self.outbox = outbox
        self.store = outbox.store
        self.changed = changed
        self.duty = (duties or Duties()).add("answers of engines", WHENEVER_S)
        outbox.register(self)
        self._questions: dict[Key, _Question] = {}
        self._by_id: dict[str, Key] = {}

    def resolve_orphans(self, at: int, gone: list[StaleTask]) -> list[tuple[StaleTask, str]]:
        """Returns those of these tasks, whose process is gone, that are lost now, each with what the engine reported; queries the engine
        about the others."""
        lost = []
        for task in gone:
            if not task.is_newest:
                lost.append((task, "The task ID was used again later, so the engine cannot report the outcome of this execution."))
                continue
            key = _key(task)
            question = self._questions.get(key)
            if question is None:
                if not self._ask(task, at) and not self._is_busy(task):
                    lost.append((task, "No connected agent can query the engine of the task."))
            elif question.id and at - question.asked_at > ANSWER_US:
                self._forget(key)
                lost.append((task, "The engine was queried and did not respond."))
            elif question.word:
                self._forget(key)
                lost.append((task, question.word))
            elif not question.id and at >= question.again_at:
                self._ask(task, at, question)
        return lost

    def query_disconnected(self, at: int, left: list[StaleTask]) -> None:
        """Asks about tasks whose process has left, though nothing proves that it is gone: what ended need not wait for the proof."""
        for task in left:
            if not task.is_newest:
                continue
            question = self._questions.get(_key(task))
            if question is None:
                self._ask(task, at)
            elif at >= max(question.again_at, question.asked_at + ANSWER_US * question.times):
                self._ask(task, at, question)

    def prune(self, held: Iterable[StaleTask]) -> None:
        """Forgets tasks that are no longer searched for: they ended, were run again, or were deleted."""
        open_keys = {_key(task) for task in held}
        for key in self._questions.keys() - open_keys:
            self._forget(key)

    async def answered(self, app_id: int, answers: Sequence[Answer]) -> None:
        """Stores what agents of this app reported."""
        for answer in answers:
            try:
                await self._answered(app_id, answer.id.owner, answer.status, answer.fields, answer.spool)
            except Exception as error:  # the batch is stored and acked; the engine is queried again
                self.duty.failed(error)

    async def _answered(self, app_id: int, id: str, status: str, facts: Mapping[str, Json], spool: str | None) -> None:
        """Results that were not requested, and those of another agent than the queried one, are ignored."""
        key = self._by_id.get(id)
        if key is None or key[0] != app_id or status == "accepted" or spool not in (None, self._questions[key].spool):
            return
        del self._by_id[id]
        question = self._questions[key]
        question.id, task, at = "", question.task, clock.now()
        state, answer_text = str(facts.get("state", "unknown")), str(facts.get("engine_state") or facts.get("error") or "unknown")[:200]
        if status == "done" and state in ENDS:
            await self._add(task, Event(state, task.attempt, at, task.run, task.worker, error=ENDS[state], flags=FLAGS["reconciled"]))
            self._forget(key)
        elif status == "done" and state == "queued":
            # A millisecond after its last event, as the fold compares: a start that is on its way here already must speak.
            await self._add(task, Event("due", task.attempt, task.at + 1_000, flags=FLAGS["reconciled"]))
            self._forget(key)
        else:
            question.again_at = at + min(AGAIN_US * 5 ** (question.times - 1), AT_MOST_US)
            question.word = "" if state == "running" else f"The engine was queried and does not have the task: {answer_text}."

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _add(self, task: StaleTask, event: Event) -> None:
        try:
            self.changed((await ingest_facts(self.store, task.app_id, [ServerFact(task.engine, task.task_id, event, task.row)])).topics)
        except StoreError as error:  # the task stays as it is, so its engine is queried again
            self.duty.failed(error)
            return
        self.duty.succeeded()

    def _is_busy(self, task: StaleTask) -> bool:
        return len(self._questions) >= REMEMBERED or self._outstanding(task) >= OUTSTANDING

    def _outstanding(self, task: StaleTask) -> int:
        return sum(key[:2] == (task.app_id, task.engine) for key in self._by_id.values())

    def _ask(self, task: StaleTask, at: int, before: _Question | None = None) -> bool:
        if self._is_busy(task):
            return False
        id, need = secrets.token_hex(8), Need(task.app_id, task.engine, "lookup_task", task.environment)
        link = self.outbox.ask(OutgoingCommand(CommandId("lookup", id), need, at + ANSWER_US, {"task_id": task.task_id}))
        if link is None:
            return False
        if before is not None:
            self._by_id.pop(before.id, None)
        self._questions[_key(task)] = _Question(task, id, link.spool, at, before.times + 1 if before else 1)
        self._by_id[id] = _key(task)
        return True

    def _forget(self, key: Key) -> None:
        question = self._questions.pop(key, None)
        if question is not None:
            self._by_id.pop(question.id, None)


def _key(task: StaleTask) -> Key:
    return (task.app_id, task.engine, task.task_id, task.attempt)
