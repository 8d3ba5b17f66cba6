# SPDX-License-Identifier: Apache-2.0
"""The exceptions of the client.

Z4jError
├── NotConfigured          address, token, pin or CA file are missing or wrong; nothing was sent
├── ConnectionFailed       no response from the server
│   ├── CertificateRefused     its key or certificate is not the expected one; the token was not sent
│   └── TimedOut               no response within the timeout
├── BadResponse            the response is not one of this API
├── WaitTimedOut           a command or plan has not ended within the time that was given
└── ApiError               the server refused the request
    ├── BadRequest         400
    ├── NotAuthenticated   401: the token is unknown, expired or revoked
    ├── NotAllowed         403: the role of the token, or the application's owner, denies it
    ├── NotFound           404
    ├── WrongState         409: its state does not permit this
    ├── Unsupported        422: this engine or agent cannot do that
    ├── TooManyRequests    429
    └── Unavailable        503: no connected agent can do it, or the database cannot be written
"""

from __future__ import annotations

from typing import Any, Final


class Z4jError(Exception):
    """`message` says what happened and what was not affected, `hint` what to do ("" where there is nothing to add)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".rstrip())
        self.message = message
        self.hint = hint


class NotConfigured(Z4jError):
    pass


class ConnectionFailed(Z4jError):
    pass


class CertificateRefused(ConnectionFailed):
    pass


class TimedOut(ConnectionFailed):
    pass


class BadResponse(Z4jError):
    pass


class WaitTimedOut(Z4jError):
    """`last` is the command or the plan as it was read last."""

    def __init__(self, message: str, hint: str, last: Any) -> None:
        super().__init__(message, hint)
        self.last = last


class ApiError(Z4jError):
    """`status` is the HTTP status, `title` its name, `request_id` the ID under which the server's log has the details."""

    def __init__(self, status: int, message: str, hint: str = "", title: str = "", request_id: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.title = title
        self.request_id = request_id


class BadRequest(ApiError):
    pass


class NotAuthenticated(ApiError):
    pass


class NotAllowed(ApiError):
    pass


class NotFound(ApiError):
    pass


class WrongState(ApiError):
    pass


class Unsupported(ApiError):
    pass


class TooManyRequests(ApiError):
    pass


class Unavailable(ApiError):
    pass


BY_STATUS: Final[dict[int, type[ApiError]]] = {
    400: BadRequest, 401: NotAuthenticated, 403: NotAllowed, 404: NotFound, 409: WrongState, 422: Unsupported, 429: TooManyRequests,
    503: Unavailable,
}  # fmt: skip
