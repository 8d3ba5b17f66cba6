# SPDX-License-Identifier: Apache-2.0
"""The client: one attribute for each kind of things that the API has."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from z4j_client import settings
from z4j_client._sync.operations.alerts import Alerts
from z4j_client._sync.operations.audit import Audit
from z4j_client._sync.operations.commands import Commands
from z4j_client._sync.operations.errors import Errors
from z4j_client._sync.operations.findings import Findings
from z4j_client._sync.operations.forwarding import Forwarding
from z4j_client._sync.operations.incidents import Incidents
from z4j_client._sync.operations.openapi import Openapi
from z4j_client._sync.operations.plans import Plans
from z4j_client._sync.operations.queues import Queues
from z4j_client._sync.operations.releases import Releases
from z4j_client._sync.operations.schedules import Schedules
from z4j_client._sync.operations.task_names import TaskNames
from z4j_client._sync.operations.tasks import Tasks
from z4j_client._sync.operations.workers import Workers
from z4j_client._sync.transport import Transport


class Client:
    """A connection to the API of a z4j server, for `with Client(…) as z4j`.

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
        self._transport = Transport(connection, timeout, retries)
        self.tasks = Tasks(self._transport)
        self.task_names = TaskNames(self._transport)
        self.plans = Plans(self._transport)
        self.commands = Commands(self._transport)
        self.queues = Queues(self._transport)
        self.workers = Workers(self._transport)
        self.schedules = Schedules(self._transport)
        self.errors = Errors(self._transport)
        self.findings = Findings(self._transport)
        self.alerts = Alerts(self._transport)
        self.releases = Releases(self._transport)
        self.incidents = Incidents(self._transport)
        self.audit = Audit(self._transport)
        self.forwarding = Forwarding(self._transport)
        self.openapi = Openapi(self._transport)

    def close(self) -> None:
        """Closes the connections to the server."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.server!r})"
