# SPDX-License-Identifier: Apache-2.0
"""Records what a task logs while it runs, as records of its run. Off unless the owner sets `Z4J_LOG_LINES` or adds a `LogHandler`.

A line is redacted in the thread that logs it, before it is written to the spool. Lines beyond the limits are counted, and the count is sent
with the next line and at the end of the run. The handler takes no lock, raises nothing, and ignores what the agent itself logs.
"""

from __future__ import annotations

import itertools
import logging
import time
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

from z4j_agent.capture import current_run
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.display import shorten
from z4j_agent.capture.guard import faults, guard, let_through
from z4j_agent.runtime.native_threads import ticks
from z4j_agent.wire import records
from z4j_agent.wire.redaction import redact_text

MAX_LINES: Final = 500
"""Of one run."""
MAX_PER_SECOND: Final = 100
MAX_MESSAGE: Final = 2_000
MAX_LOGGER: Final = 100
SCANNED: Final = 4_000
"""Characters of a message that are redacted: more would take too long."""
IGNORED: Final = (
    "z4j_agent", "websockets",
    "celery.app.trace", "rq.worker", "rq.job", "dramatiq.worker", "dramatiq.middleware", "huey", "arq.worker", "taskiq.receiver",
)  # fmt: skip
"""Loggers of the agent itself, and those of the engines with what z4j reports anyway."""
_ignored: tuple[str, ...] = IGNORED
SEPARATE: Final = ("celery.task",)
"""Loggers of an engine that do not pass their lines to the root logger."""
_is_busy: ContextVar[bool] = ContextVar("z4j_log_lines_busy", default=False)


def ignore(*loggers: str) -> None:
    """Ignores the lines of further loggers in this process, also of those below them: an adapter of an engine that is not in IGNORED names
    what the engine itself logs. Names are compared by their beginning."""
    global _ignored
    _ignored = tuple(dict.fromkeys((*_ignored, *loggers)))


class Lines:
    """The lines of one run: the number of the next one, how many were dropped, and those of the current second."""

    __slots__ = ("dropped", "in_second", "numbers", "second")

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.dropped = self.in_second = 0
        self.second = -1

    @guard("log lines")
    def end(self, run: CurrentRun) -> None:
        """Sends how many lines were dropped. Called at the end of a run that logged."""
        run.process.append(_record(run, time.time_ns() // 1000, MAX_LINES, 0, "", "", self.dropped))


class LogHandler(logging.Handler):
    """A handler of the module `logging` that sends what a task logs to z4j. It does nothing outside of a task."""

    def createLock(self) -> None:  # noqa: N802 -- a method of logging.Handler
        """Creates none: a lock could be held by another thread at a fork."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Records a line of the current run, unless a filter rejects it. Returns whether the filters passed it, False outside of a run.
        Never raises."""
        try:
            run = current_run.current()
            if run is None or _is_busy.get() or record.name.startswith(_ignored):
                return False
            passed = self.filter(record)
            if passed:
                self.emit(passed if isinstance(passed, logging.LogRecord) else record)
            return bool(passed)
        except Exception as error:
            let_through(error)
            faults.report("log lines", error)
            return False

    def emit(self, record: logging.LogRecord) -> None:
        """Records a line of the current run, with the time of the call. `handle` calls it, and catches its exceptions. Lines beyond
        MAX_LINES in a run or MAX_PER_SECOND are counted and dropped."""
        run = current_run.current()
        if run is None:
            return
        lines = run.lines
        if lines is None:
            lines = run.lines = Lines()
        second = int(ticks())
        if second != lines.second:
            lines.second, lines.in_second = second, 0
        if lines.in_second >= MAX_PER_SECOND or (number := next(lines.numbers)) >= MAX_LINES:
            lines.dropped += 1
            return
        lines.in_second += 1
        busy = _is_busy.set(True)  # a value in the message may log when it becomes text
        try:
            message = _text(record)
        finally:
            _is_busy.reset(busy)
        level, at = min(max(record.levelno, 1), 255), time.time_ns() // 1000
        run.process.append(_record(run, at, number, level, _logger(record.name), message, lines.dropped))


@lru_cache(100)
def _logger(name: str) -> str:
    """A name as it is sent. An application has few loggers, and each of them writes many lines."""
    return shorten(redact_text(name[: 2 * MAX_LOGGER]), MAX_LOGGER)


def _text(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if len(message) > SCANNED:
        message = message[:SCANNED].rpartition(" ")[0] + " …"
    if record.exc_info and record.exc_info[0] is not None:
        message = f"{message}\n{logging.Formatter().formatException(record.exc_info)[-SCANNED:]}"
    return shorten(redact_text(message), MAX_MESSAGE)


def _record(run: CurrentRun, at: int, number: int, level: int, logger: str, message: str, dropped: int) -> bytes:
    return records.logged(
        run.engine, run.task_id, run.attempt, at, run.run, run.name, run.queue,
        started_at=run.started_at, seq=number, level=level, logger=logger, message=message, dropped=dropped,
    )  # fmt: skip


@guard("log lines")
def begin(agent: Any, run: CurrentRun) -> None:
    """Adds the handler of `Z4J_LOG_LINES` to the root logger, if it is missing; called before each run, in its thread. Never raises."""
    if agent.settings.log_level is not None:
        attached.ensure(agent.settings.log_level)


class RootHandler(LogHandler):
    """The handler of `Z4J_LOG_LINES`. Without a handler of the application, Python writes warnings to stderr, and continues to do so."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Records a line like `LogHandler`, and passes it on to Python's last resort, in a task and outside."""
        handled = super().handle(record)
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and len(logging.root.handlers) == 1 and not _has_other(record.name, self):
            last.handle(record)
        return handled


def _has_other(name: str, own: logging.Handler) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(handler is not own for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


class Attached:
    """The handler that `Z4J_LOG_LINES` adds to the root logger, and where it is. An engine may remove the handlers of others when it
    configures logging, so it is added again before the next run."""

    def __init__(self) -> None:
        self.handler: RootHandler | None = None

    def ensure(self, level: int) -> None:
        """Adds the handler where it is missing; `level` is a level of the module `logging`. Called before each run, and costs a look at two
        lists."""
        if self.handler is None:
            self.handler = RootHandler(level)
        if self.handler not in logging.root.handlers:
            logging.root.addHandler(self.handler)
        for name in SEPARATE:
            logger = logging.root.manager.loggerDict.get(name)
            if isinstance(logger, logging.Logger) and not logger.propagate and self.handler not in logger.handlers:
                logger.addHandler(self.handler)

    def remove(self) -> None:
        """Removes the handler wherever it was added."""
        handler, self.handler = self.handler, None
        if handler is not None:
            for logger in (logging.root, *map(logging.getLogger, SEPARATE)):
                logger.removeHandler(handler)


attached = Attached()
