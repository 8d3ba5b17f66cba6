# SPDX-License-Identifier: AGPL-3.0-or-later
"""The exceptions of the server, with their HTTP status, close code and exit code.

    Z4jError
    ├── BadInput       the request or frame cannot be understood
    ├── NotAllowed     the role or the application's owner denies it
    ├── NotFound       it does not exist, or was deleted
    ├── WrongState     it exists, but its state does not permit this
    ├── Unsupported    this engine or agent cannot do that
    ├── AgentGone      no connected agent can do it
    ├── TooMany        a rate limit; try again later
    └── StoreError     reading or writing the database failed
        ├── StoreFull          the disk is full
        ├── StoreDamaged       the database file is damaged
        ├── StoreBusy          another process has locked it
        └── StoreUnavailable   it cannot be opened or read: permissions, descriptors, I/O errors

`message` states what happened and what was not affected, `hint` what to do; both are shown to users. A private cause travels as
`__cause__` and is only ever logged. `cause_of` returns one word for the cause of any error, such as `disk_full`;
`store/sqlite/sqlite_exceptions.py` decides which error of SQLite is which of these.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from z4j_agent import wire


class Z4jError(Exception):
    """`status` is the HTTP status, `close_code` the WebSocket one, `exit_code` the command line's."""

    status: ClassVar[int] = 500
    close_code: ClassVar[int] = wire.STOPPING
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def explanation(self) -> str:
        """What happened and what to do, in one text."""
        return f"{self.message} {self.hint}".strip()


class BadInput(Z4jError):
    status, close_code, exit_code = 400, wire.MALFORMED, 2


class NotAllowed(Z4jError):
    status, close_code, exit_code = 403, wire.FORBIDDEN, 3


class NotFound(Z4jError):
    status, close_code, exit_code = 404, wire.MALFORMED, 4


class WrongState(Z4jError):
    status, close_code, exit_code = 409, wire.MALFORMED, 5


class Unsupported(Z4jError):
    status, close_code, exit_code = 422, wire.MALFORMED, 6


class AgentGone(Z4jError):
    status, close_code, exit_code = 503, wire.STOPPING, 7


class TooMany(Z4jError):
    status, close_code, exit_code = 429, wire.TOO_MANY, 8


class StoreError(Z4jError):
    """`cause` is one word that may be shown to anyone."""

    status, close_code, exit_code = 503, wire.STOPPING, 9
    cause: ClassVar[str] = "storage"


class StoreFull(StoreError):
    cause = "disk_full"


class StoreDamaged(StoreError):
    cause = "database_damaged"


class StoreBusy(StoreError):
    cause = "database_busy"


class StoreUnavailable(StoreError):
    cause = "database_unavailable"


def describe(error: BaseException) -> str:
    """Describes an error in one sentence, for signed-in users."""
    if isinstance(error, StoreError):
        return error.message
    text = str(error).strip().split("\n")[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def cause_of(error: BaseException) -> str:
    """Returns one word about an error, without any of its text."""
    if isinstance(error, StoreError):
        return error.cause
    if isinstance(error, OSError):
        known = {
            errno.EMFILE: "no_file_descriptors",
            errno.ENFILE: "no_file_descriptors",
            errno.ENOSPC: "disk_full",
            errno.EDQUOT: "disk_full",
        }
        return known.get(error.errno or 0, "operating_system")
    return "internal_error"
