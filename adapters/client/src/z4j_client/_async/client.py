# SPDX-License-Identifier: Apache-2.0
"""The client: one attribute for each kind of things that the API has."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from z4j_client import settings
from z4j_client._async.operations.alerts import AsyncAlerts
from z4j_client._async.operations.audit import AsyncAudit
from z4j_client._async.operations.commands import AsyncCommands
from z4j_client._async.operations.errors import AsyncErrors
from z4j_client._async.operations.findings import AsyncFindings
from z4j_client._async.operations.forwarding import AsyncForwarding
from z4j_client._async.operations.incidents import AsyncIncidents
from z4j_client._async.operations.openapi import AsyncOpenapi
from z4j_client._async.operations.plans import AsyncPlans
from z4j_client._async.operations.queues import AsyncQueues
from z4j_client._async.operations.releases import AsyncReleases
from z4j_client._async.operations.schedules import AsyncSchedules
from z4j_client._async.operations.task_names import AsyncTaskNames
from z4j_client._async.operations.tasks import AsyncTasks
from z4j_client._async.operations.workers import AsyncWorkers
from z4j_client._async.transport import AsyncTransport


class AsyncClient:
    """A connection to the API of a z4j server, for `async with AsyncClient(…) as z4j`.

    `server` is its address (Z4J_SERVER, else http://127.0.0.1:7700). The token is `token`, the first line of `token_file`, Z4J_API_TOKEN,
    or the first line of the file Z4J_API_TOKEN_FILE. A server with a self-signed certificate is verified with `pin` (Z4J_PIN), as in the
    connection strings of agents, or with `ca_file` (Z4J_CA). The token is sent over http only to this machine, unless `allow_plaintext`
    is set. `timeout` is in seconds. A read that fails is sent again `retries` times; an action never is.

    Raises NotConfigured. The methods raise Z4jError, see `z4j_client.exceptions`.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        pin: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        allow_plaintext: bool = False,
        timeout: float = 30.0,
        retries: int = 2,
    ) -> None:
        connection = settings.resolve(server, token, token_file, pin, ca_file, allow_plaintext=allow_plaintext)
        self._transport = AsyncTransport(connection, timeout, retries)
        self.tasks = AsyncTasks(self._transport)
        self.task_names = AsyncTaskNames(self._transport)
        self.plans = AsyncPlans(self._transport)
        self.commands = AsyncCommands(self._transport)
        self.queues = AsyncQueues(self._transport)
        self.workers = AsyncWorkers(self._transport)
        self.schedules = AsyncSchedules(self._transport)
        self.errors = AsyncErrors(self._transport)
        self.findings = AsyncFindings(self._transport)
        self.alerts = AsyncAlerts(self._transport)
        self.releases = AsyncReleases(self._transport)
        self.incidents = AsyncIncidents(self._transport)
        self.audit = AsyncAudit(self._transport)
        self.forwarding = AsyncForwarding(self._transport)
        self.openapi = AsyncOpenapi(self._transport)

    async def aclose(self) -> None:
        """Closes the connections to the server."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.server!r})"
