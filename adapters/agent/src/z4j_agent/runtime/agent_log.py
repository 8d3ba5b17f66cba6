# SPDX-License-Identifier: Apache-2.0
"""The agent's own log, separate from the application's: the agent writes nothing to the application's log, at any level.

`log` and the logger given to `websockets` are not in the registry of `logging`, so that neither the application's handlers, nor its
level, nor a library that patches `logging.Logger` (Sentry, OpenTelemetry) receives their lines. Lines go to `agent.log` in the spool
folder (mode 0600, at most two files of 256 KB). `Z4J_LOG=stderr` writes them to standard error and `Z4J_LOG=logging` to the
application's logger `z4j_agent`. The connection's token and frames are never logged.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from z4j_agent.contract.interrupts import let_through
from z4j_agent.settings import default_spool

LIMIT = 256 * 1024
KEPT = 50
FILE = "agent.log"


class Sink:
    """Writes log lines. Takes no lock: a line is one `write`. Lines from before the folder is known are kept in memory and written
    later."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._early: list[str] = []

    def use(self, folder: Path) -> None:
        """Sets the folder of the log. If it cannot be written, lines are lost, and nothing else is affected."""
        self._path = folder / FILE
        early, self._early = self._early, []
        for line in early:
            self._append(line)

    def use_default(self, spool: str | Path | None = None) -> None:
        """Writes the lines in memory to the folder that the doctor reads, without an agent. If the folder cannot be created, or may
        belong to another user, the lines are lost. Never raises."""
        from z4j_agent.spool.spool import (  # costs import time, and few processes need it
            SpoolUnusable,
            is_foreign,
            prepare_folder,
        )

        with contextlib.suppress(OSError, SpoolUnusable, ValueError):  # ValueError: a path that contains NUL
            chosen = spool or os.environ.get("Z4J_SPOOL")
            folder = Path(chosen or default_spool())
            if not chosen or not folder.exists():
                prepare_folder(folder)
            elif is_foreign(folder):  # a configured folder keeps its mode: other programs may share it, like /var/log
                return
            self.use(folder)

    def write(self, record: logging.LogRecord) -> None:
        """Writes one line of a record, redacted, to where `Z4J_LOG` points. Raises only exceptions of `never_swallow`: a line that cannot
        be written is lost, also if a filter or handler of the application raises (`Z4J_LOG=logging`)."""
        try:
            self._write(record, os.environ.get("Z4J_LOG", ""))
        except Exception as error:  # a log that cannot be written must not affect the application
            let_through(error)

    def _write(self, record: logging.LogRecord, to: str) -> None:
        from z4j_agent.wire.redaction import redact_text  # costs import time, and few processes need it

        record.msg, record.args, record.exc_info = redact_text(record.getMessage()), (), None
        if to == "logging":
            hosts = logging.getLogger("z4j_agent")
            if hosts.isEnabledFor(record.levelno):
                hosts.handle(logging.makeLogRecord(record.__dict__))  # with what the application's record factory adds
            return
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        text = " ".join(record.getMessage().splitlines())
        line = f"{at} {record.levelname} [{os.getpid()}] {text}\n"
        if to == "stderr":
            os.write(2, line.encode("utf-8", "backslashreplace"))
        elif self._path is not None:
            self._append(line)
        else:
            self._early = [*self._early[-KEPT:], line]
            if record.levelno >= logging.WARNING:  # there may never be an agent whose folder could be used
                self.use_default()

    def _append(self, line: str) -> None:
        assert self._path is not None
        with contextlib.suppress(OSError):
            fd = _open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                os.write(fd, line.encode("utf-8", "backslashreplace"))
                is_full = os.fstat(fd).st_size > LIMIT
            finally:
                os.close(fd)
            if is_full:
                self._path.replace(self._path.with_name(f"{FILE}.1"))

    def last(self, lines: int) -> list[str]:
        """Returns the newest lines, oldest first, for the doctor."""
        return (self._early if self._path is None else read_log(self._path))[-lines:]


def read_log(path: Path) -> list[str]:
    """Returns the lines of a log, oldest first; [] where there is none that can be read."""
    try:
        with open(_open(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _open(path: Path, how: int) -> int:
    """Opens a plain file of this user. Raises OSError for a link, for a pipe, on which the application would wait, and for a file of
    another user."""
    fd = os.open(path, how | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        os.close(fd)
        raise OSError(errno.EPERM, "not a regular file of this user")
    return fd


sink = Sink()


class OwnLogger(logging.Logger):
    """A logger outside of the application's registry; its class has its own output, which patches of `logging.Logger` do not affect."""

    def makeRecord(  # noqa: N802 -- the name is that of logging
        self,
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        """Creates a record without the application's factory (`logging.setLogRecordFactory`), which could raise."""
        return logging.LogRecord(name, level, fn, lno, msg, args, exc_info, func, sinfo)

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the name is that of logging
        """Writes the record with `sink` only. `logging.Logger.handle` calls it."""
        sink.write(record)


log = OwnLogger("z4j_agent", logging.INFO)
websocket_log = OwnLogger("z4j_agent.websocket", logging.ERROR)
"""Above the level of `websockets`' lines about frames and headers: at DEBUG they would contain the connection's token."""
