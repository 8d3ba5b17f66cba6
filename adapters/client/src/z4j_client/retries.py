# SPDX-License-Identifier: Apache-2.0
"""When a request is sent again, and after which pause. Without I/O, for both clients."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

from z4j_client.tls import PinMismatch

RETRIED: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a read is sent again."""
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 30.0


def may_repeat(method: str, outcome: httpx.Response | httpx.RequestError) -> bool:
    """Whether a request is sent again after this outcome. Only reads are: an action could happen twice."""
    if method != "GET":
        return False
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in RETRIED
    is_refused = any(isinstance(cause, (PinMismatch, ssl.SSLCertVerificationError)) for cause in causes_of(outcome))
    return not is_refused and not isinstance(outcome, (httpx.ReadTimeout, httpx.UnsupportedProtocol))


def pause_before(attempt: int, outcome: httpx.Response | httpx.RequestError) -> float:
    """Returns the seconds before attempt `attempt` (from 1): what the server asks for with Retry-After, else twice as long each time."""
    asked: str = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    if asked.isascii() and asked.isdigit():
        return min(float(asked), LONGEST_PAUSE_S)
    return min(FIRST_PAUSE_S * (1 << attempt - 1), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads clients in time


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and what caused it, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
