# SPDX-License-Identifier: Apache-2.0
"""Nothing of the agent is in the host's log: no line, no frame, no token, at any level and whatever the host has patched."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.contract import interrupts
from z4j_agent.runtime.agent_log import FILE, LIMIT, OwnLogger, Sink, log, sink

HOST = """
import logging, sys, time
seen = []
patched = logging.Logger.callHandlers
def call_handlers(self, record):  # what Sentry does
    seen.append(record.name)
    return patched(self, record)
logging.Logger.callHandlers = call_handlers
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
import z4j_agent
agent = z4j_agent.start(spool=sys.argv[1])
agent.connect()
from z4j_agent.capture.guard import faults
faults.report("a hook", ValueError("no"))
faults.report_problem("a check", "wrong", "something the operators must know")
deadline = time.monotonic() + 20
while agent._connection is None or not agent._connection.is_open:
    assert time.monotonic() < deadline, agent._connection.state
    time.sleep(0.05)
z4j_agent.stop()
logging.getLogger("host").warning("the host's own line")
print([name for name in seen if name != "host"])
"""


def test_a_host_that_logs_everything_sees_nothing_of_the_agent(gateway: Any, tmp_path: Path) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("Z4J_")}
    ran = subprocess.run(
        [sys.executable, "-c", HOST, str(tmp_path / "spool")], env={**ours, "Z4J_URL": gateway.url}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"
    assert ran.stderr.strip() == "WARNING:host:the host's own line"
    [path] = (tmp_path / "spool").rglob(FILE)
    text = path.read_text()
    assert "an agent operation failed: a hook (ValueError); the application is not affected" in text
    assert "something the operators must know" in text
    assert "z4a_" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_mistake_in_the_settings_is_in_the_log_that_the_doctor_shows(tmp_path: Path) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("Z4J_")}
    code = "import z4j_agent; z4j_agent.start()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**ours, "Z4J_URL": "http://nonsense", "Z4J_SPOOL": str(tmp_path / "new")}, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("", "")
    assert "z4j is disabled: Z4J_URL does not begin with" in (tmp_path / "new" / FILE).read_text()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.delenv("Z4J_LOG")
    made = Sink()
    made.write(logging.LogRecord("z4j_agent", logging.INFO, "", 0, "early", None, None))
    made.use(tmp_path)
    return made


def test_lines_from_before_the_folder_is_known_are_kept(own: Sink, tmp_path: Path) -> None:
    own.write(logging.LogRecord("z4j_agent", logging.INFO, "", 0, "later\nwith a break", None, None))
    assert [line.split("] ")[1] for line in (tmp_path / FILE).read_text().splitlines()] == ["early", "later with a break"]
    assert [line.split("] ")[1] for line in own.last(1)] == ["later with a break"]


def test_the_log_is_bounded(own: Sink, tmp_path: Path) -> None:
    record = logging.LogRecord("z4j_agent", logging.INFO, "", 0, "x" * 10_000, None, None)
    for _ in range(3 * LIMIT // 10_000):
        own.write(record)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [FILE, f"{FILE}.1"]
    assert all((tmp_path / name).stat().st_size <= LIMIT + 20_000 for name in files)


def test_a_log_that_cannot_be_written_disturbs_nobody(own: Sink, tmp_path: Path) -> None:
    own.use(tmp_path / "missing")
    own.write(logging.LogRecord("z4j_agent", logging.INFO, "", 0, "lost", None, None))
    own.write(logging.LogRecord("z4j_agent", logging.INFO, "", 0, "%d", ("not a number",), None))
    assert own.last(5) == []


def warning() -> logging.LogRecord:
    return logging.LogRecord("z4j_agent", logging.WARNING, "", 0, "something is wrong", None, None)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default folder, where nobody has made it yet."""
    for name in ("Z4J_LOG", "Z4J_SPOOL", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(shared))
    monkeypatch.setenv("HOME", "/")
    return shared / f"z4j-{os.geteuid()}"


def test_an_early_warning_makes_a_private_folder(state: Path) -> None:
    made = Sink()
    made.write(warning())
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert "something is wrong" in (state / FILE).read_text()


def test_an_early_warning_goes_into_no_folder_of_another_user(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    state.symlink_to(tmp_path / "theirs")
    made = Sink()
    made.write(warning())
    monkeypatch.setenv("Z4J_SPOOL", str(state))
    made.write(warning())
    assert not list((tmp_path / "theirs").iterdir())
    state.unlink()
    state.mkdir()
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    made.write(warning())
    assert not list(state.iterdir())


def test_a_folder_that_the_owner_has_named_keeps_its_mode(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Z4J_SPOOL", str(state.parent))
    Sink().write(warning())
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o1777
    assert "something is wrong" in (state.parent / FILE).read_text()


@pytest.mark.parametrize("is_read", [False, True])
def test_a_pipe_in_the_place_of_the_log_holds_nobody_up(own: Sink, tmp_path: Path, is_read: bool) -> None:
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    reader = os.open(tmp_path / FILE, os.O_RDONLY | os.O_NONBLOCK) if is_read else -1
    own.write(warning())
    assert own.last(5) == []
    if is_read:
        assert os.read(reader, 100) == b""
        os.close(reader)


def test_a_link_in_the_place_of_the_log_is_neither_written_nor_read(own: Sink, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("theirs")
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to(tmp_path / "other")
    own.write(warning())
    assert own.last(5) == []
    assert (tmp_path / "other").read_text() == "theirs"


def test_an_owner_can_have_the_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, caplog: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert isinstance(log, OwnLogger)
    log.warning("to the host's log")
    assert caplog.messages == ["to the host's log"]
    monkeypatch.setenv("Z4J_LOG", "stderr")
    log.warning("to standard error")
    assert capfd.readouterr().err.endswith("] to standard error\n")
    assert "z4j_agent.runtime.agent_log" not in logging.root.manager.loggerDict
    assert sink is not None


# -- Z4J_LOG=logging -----------------------------------------------------------------------------------------------------
class Shutdown(Exception):
    """What an engine raises asynchronously."""


@pytest.fixture
def hosts() -> Iterator[logging.Logger]:
    made = logging.getLogger("z4j_agent")
    yield made
    made.filters.clear()


@pytest.mark.parametrize("part", ["filter", "handler"])
def test_a_filter_or_handler_of_the_application_that_raises_does_not_reach_the_code_that_logs(hosts: logging.Logger, part: str) -> None:
    def fail(_record: logging.LogRecord) -> bool:
        raise RuntimeError("the application's own fault")

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fail(record)

    broken = Broken()
    hosts.addFilter(fail) if part == "filter" else hosts.addHandler(broken)
    try:
        log.warning("lost")
    finally:
        hosts.removeHandler(broken)


def test_what_an_engine_raises_into_a_filter_is_raised(hosts: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_record: logging.LogRecord) -> bool:
        raise Shutdown

    monkeypatch.setattr(interrupts, "_host_exceptions", (Shutdown,))
    hosts.addFilter(stopped)
    with pytest.raises(Shutdown):
        log.warning("interrupted")


@pytest.fixture
def factory() -> Iterator[list[str]]:
    """The application's factory of records. Returns the names of the loggers that have called it."""
    names: list[str] = []
    before = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        names.append(record.name)
        record.request_id = "r1"
        return record

    logging.setLogRecordFactory(make)
    yield names
    logging.setLogRecordFactory(before)


def test_a_record_factory_of_the_application_receives_nothing_of_the_agent(
    factory: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("Z4J_LOG", "stderr")
    log.warning("one line")
    assert capfd.readouterr().err.endswith("] one line\n")
    assert factory == []


def test_a_record_factory_that_raises_does_not_reach_the_code_that_logs(factory: list[str]) -> None:
    def fail(*_: Any, **__: Any) -> logging.LogRecord:
        raise RuntimeError("the application's own fault")

    logging.setLogRecordFactory(fail)
    log.warning("lost")


def test_lines_in_the_log_of_the_application_have_the_fields_of_its_factory(factory: list[str], caplog: Any) -> None:
    log.warning("one line")
    assert [(record.getMessage(), record.levelname, record.request_id) for record in caplog.records] == [("one line", "WARNING", "r1")]
