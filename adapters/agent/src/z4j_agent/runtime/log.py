# SPDX-License-Identifier: Apache-2.0
"""The agent's own log, apart from the host's: nothing of ours appears in the application's log, at any level.

`log` and the logger given to `websockets` are not in the registry of `logging`, so that neither the host's handlers, nor its level, nor a
library that patches `logging.Logger` (Sentry, OpenTelemetry) sees what they say. Lines go to `agent.log` in the spool folder (mode 0600, at
most two files of 256 KB). `Z4J_LOG=stderr` writes them to standard error and `Z4J_LOG=logging` to the host's logger `z4j_agent`, for an
owner who wants them there. The connection's token and frames are in none of them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import time
from pathlib import Path

from z4j_agent.settings import default_spool

LIMIT = 256 * 1024
KEPT = 50
FILE = "agent.log"


class Sink:
    """Where lines go. Takes no lock: a line is one `write`. Lines from before the folder is known are kept and written then."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._early: list[str] = []

    def use(self, folder: Path) -> None:
        """From now on lines go to this folder. A folder that cannot be written loses lines, nothing else."""
        self._path = folder / FILE
        early, self._early = self._early, []
        for line in early:
            self._append(line)

    def use_default(self, spool: str | Path | None = None) -> None:
        """Writes what was logged where the doctor looks for it, though there is no agent. A folder that cannot be made, or that another
        user may have made, loses the lines."""
        from z4j_agent.spool.spool import (  # costs the host's import time, and few processes need it
            SpoolUnusable,
            is_foreign,
            prepare_folder,
        )

        with contextlib.suppress(OSError, SpoolUnusable):
            chosen = spool or os.environ.get("Z4J_SPOOL")
            folder = Path(chosen or default_spool())
            if not chosen or not folder.exists():
                prepare_folder(folder)
            elif is_foreign(folder):  # one that the owner has named keeps its mode: others may share it, as they do /var/log
                return
            self.use(folder)

    def write(self, record: logging.LogRecord) -> None:
        """One line of a record. Never raises."""
        to = os.environ.get("Z4J_LOG", "")
        with contextlib.suppress(Exception):
            from z4j_agent.wire.redaction import redact_text  # costs the host's import time, and few processes need it

            record.msg, record.args, record.exc_info = redact_text(record.getMessage()), (), None
        if to == "logging":
            hosts = logging.getLogger("z4j_agent")
            if hosts.isEnabledFor(record.levelno):
                hosts.handle(record)
            return
        with contextlib.suppress(Exception):  # a log that cannot be written must not reach the host either
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
        """The newest lines, oldest first, for the doctor."""
        return (self._early if self._path is None else read_log(self._path))[-lines:]


def read_log(path: Path) -> list[str]:
    """The lines of a log, oldest first; [] where there is none that can be read."""
    try:
        with open(_open(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _open(path: Path, how: int) -> int:
    """A plain file of our own. Raises OSError for a link, a pipe, on which the host would wait, and for what another user has put there."""
    fd = os.open(path, how | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        os.close(fd)
        raise OSError(errno.EPERM, "not a regular file of this user")
    return fd


sink = Sink()


class OwnLogger(logging.Logger):
    """A logger outside of the host's registry; its class has its own way out, which no patch of `logging.Logger` reaches."""

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the name is that of logging
        sink.write(record)


log = OwnLogger("z4j_agent", logging.INFO)
websocket_log = OwnLogger("z4j_agent.websocket", logging.ERROR)
"""Above what `websockets` says of frames and headers: at DEBUG it would write the connection's token."""
