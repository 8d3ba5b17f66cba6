# SPDX-License-Identifier: Apache-2.0
"""What a task logs becomes records of its run: redacted, bounded, and without any effect on the application."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import z4j_agent
from z4j_agent.capture import current_run, log_lines
from z4j_agent.capture.current_run import CurrentRun
from z4j_agent.capture.guard import faults

T = 1_700_000_000_000_000


class Agent:
    """Collects records."""

    run = "boot.7"
    is_worker_child = False

    def __init__(self) -> None:
        self.records: list[list[Any]] = []

    def append(self, record: bytes) -> bool:
        import json

        self.records.append(json.loads(record[1:]))
        return True

    def lines(self) -> list[tuple[Any, ...]]:
        """(number, level, logger, message, dropped)"""
        return [tuple(record[9:]) for record in self.records if record[0] == "logged"]


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.orders")
    logger.setLevel(logging.DEBUG)
    handler = z4j_agent.LogHandler()
    logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


def begin(agent: Agent, task_id: str = "a") -> CurrentRun:
    return current_run.begin(agent, "celery", task_id, 1, T, "shop.ship", "orders")


def test_a_line_of_a_task_is_a_record_of_its_run(agent: Agent, log: logging.Logger) -> None:
    run = begin(agent)
    log.info("charging order %s", 8123)
    current_run.end(run)
    log.info("after the end")
    kind, engine, task_id, attempt, at, token, name, queue, started_at, *line = agent.records[0]
    assert (kind, engine, task_id, attempt, token, name, queue, started_at) == (
        "logged", "celery", "a", 1, "boot.7", "shop.ship", "orders", T,
    )  # fmt: skip
    assert at > T
    assert line == [0, 20, "shop.orders", "charging order 8123", 0]
    assert agent.lines()[1:] == [(log_lines.MAX_LINES, 0, "", "", 0)], "the end of the lines"


def test_outside_of_a_task_nothing_is_recorded(agent: Agent, log: logging.Logger) -> None:
    log.error("nobody asked")
    current_run.end(begin(agent))
    assert agent.records == []


def test_secrets_are_masked_and_long_texts_cut(agent: Agent, log: logging.Logger) -> None:
    run = begin(agent)
    log.warning("login with password=%s", "hunter2hunter2")
    log.warning("word " * 10_000)
    try:
        raise ValueError("token=abcdefgh12345678")
    except ValueError:
        log.exception("it failed")
    current_run.end(run)
    first, second, third, _ = [line[3] for line in agent.lines()]
    assert first == "login with password=•••"
    assert len(second) == log_lines.MAX_MESSAGE
    assert third.startswith("it failed\nTraceback")
    assert "abcdefgh" not in third


def test_lines_beyond_the_limits_are_counted(agent: Agent, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(log_lines, "ticks", lambda: now[0])
    run = begin(agent)
    for _ in range(log_lines.MAX_PER_SECOND + 12):
        log.info("x")
    now[0] = 1
    log.info("the next second")
    assert agent.lines()[-1] == (log_lines.MAX_PER_SECOND, 20, "shop.orders", "the next second", 12)
    for second in range(2, 20):
        now[0] = second
        for _ in range(log_lines.MAX_PER_SECOND):
            log.info("x")
    current_run.end(run)
    lines = agent.lines()
    assert len(lines) == log_lines.MAX_LINES + 1
    assert [line[0] for line in lines] == list(range(log_lines.MAX_LINES + 1)), "numbers have no holes"
    assert lines[-1][4] == 12 + 1 + 18 * log_lines.MAX_PER_SECOND - log_lines.MAX_LINES + log_lines.MAX_PER_SECOND


def test_a_value_that_logs_while_it_becomes_text_does_not_recurse(agent: Agent, log: logging.Logger) -> None:
    class Chatty:
        def __str__(self) -> str:
            log.info("from inside")
            return "chatty"

    run = begin(agent)
    z4j_agent.LogHandler().handle(logging.LogRecord("shop.orders", 20, "f", 1, "%s", (Chatty(),), None))
    current_run.end(run)
    assert [line[3] for line in agent.lines()] == ["chatty", ""]


def test_a_broken_line_is_a_fault_and_raises_nothing(agent: Agent, log: logging.Logger) -> None:
    run, before = begin(agent), faults.total
    z4j_agent.LogHandler().handle(logging.LogRecord("shop.orders", 20, "f", 1, "%d", ("no number",), None))
    log.info("next")
    current_run.end(run)
    assert faults.total == before + 1
    assert [line[3] for line in agent.lines()] == ["next", ""]


def test_the_agent_does_not_record_its_own_lines(agent: Agent) -> None:
    handler = z4j_agent.LogHandler()
    run = begin(agent)
    for name in ("z4j_agent.connection", "websockets.client"):
        handler.handle(logging.LogRecord(name, 20, "f", 1, "own", None, None))
    current_run.end(run)
    assert agent.records == []


def test_a_handler_that_an_engine_removed_is_added_again(agent: Agent) -> None:
    separate = logging.getLogger("celery.task")
    separate.propagate = False
    try:
        log_lines.attached.ensure(20)
        handler = log_lines.attached.handler
        logging.root.handlers.remove(handler)  # type: ignore[arg-type]
        log_lines.attached.ensure(20)
        assert handler in logging.root.handlers
        assert handler in separate.handlers
        run = begin(agent)
        separate.warning("of a task logger")
        current_run.end(run)
        assert [line[3] for line in agent.lines()] == ["of a task logger", ""]
    finally:
        log_lines.attached.remove()
        separate.propagate = True
    assert handler not in logging.root.handlers
    assert handler not in separate.handlers


def test_the_setting_names_a_level(tmp_path: Path) -> None:
    from z4j_agent.settings import BadSettings, Settings

    environ = {"Z4J_URL": "z4j+ws://token@localhost:7700", "Z4J_SPOOL": str(tmp_path)}
    levels = [
        getattr(Settings.from_environment({**environ, "Z4J_LOG_LINES": text}), "log_level", -1) for text in ("", "off", "info", "ERROR")
    ]
    assert levels == [None, None, 20, 40]
    with pytest.raises(BadSettings, match="Z4J_LOG_LINES is 'loud'"):
        Settings.from_environment({**environ, "Z4J_LOG_LINES": "loud"})


def test_without_another_handler_warnings_still_reach_stderr(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Last(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    monkeypatch.setattr(logging, "lastResort", Last(logging.WARNING))
    monkeypatch.setattr(logging.root, "handlers", [])
    try:
        log_lines.attached.ensure(20)
        logging.getLogger("shop.plain").warning("as before")
        logging.getLogger("shop.plain").info("too low")
        logging.root.addHandler(logging.NullHandler())
        logging.getLogger("shop.plain").warning("the application's handler has it")
    finally:
        log_lines.attached.remove()
    assert seen == ["as before"]


def test_an_adapter_names_loggers_of_its_engine(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_ignored", log_lines.IGNORED)
    handler = z4j_agent.LogHandler()
    run = current_run.begin(agent, "fake", "t1", 0, T, "shop.ship", "work")
    for name in ("saq", "saq.worker", "rq.worker"):
        handler.handle(logging.makeLogRecord({"name": name, "levelno": 20, "msg": "before"}))
    log_lines.ignore("saq")
    for name in ("saq", "saq.worker", "shop"):
        handler.handle(logging.makeLogRecord({"name": name, "levelno": 20, "msg": "after"}))
    current_run.end(run)
    assert [(line[2], line[3]) for line in agent.lines()[:-1]] == [("saq", "before"), ("saq.worker", "before"), ("shop", "after")]
