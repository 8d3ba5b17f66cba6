# SPDX-License-Identifier: Apache-2.0
"""The Python client of z4j's API.

>>> from z4j_client import Client
>>> with Client("https://queue.internal:7700", pin="…", token_file="~/.z4j-token") as z4j:
...     for task in z4j.tasks.iterate(q="state:failed name:emails.* ran:>2s"):
...         print(task.name, task.error)

`Client` and `AsyncClient` have the same methods, and return the dataclasses of `z4j_client.models`. Times are integer microseconds UTC.
"""

from z4j_client import models
from z4j_client._async.client import AsyncClient
from z4j_client._sync.client import Client
from z4j_client.exceptions import (
    ApiError,
    BadRequest,
    BadResponse,
    CertificateRefused,
    ConnectionFailed,
    NotAllowed,
    NotAuthenticated,
    NotConfigured,
    NotFound,
    TimedOut,
    TooManyRequests,
    Unavailable,
    Unsupported,
    WaitTimedOut,
    WrongState,
    Z4jError,
)

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadRequest",
    "BadResponse",
    "CertificateRefused",
    "Client",
    "ConnectionFailed",
    "NotAllowed",
    "NotAuthenticated",
    "NotConfigured",
    "NotFound",
    "TimedOut",
    "TooManyRequests",
    "Unavailable",
    "Unsupported",
    "WaitTimedOut",
    "WrongState",
    "Z4jError",
    "models",
]
