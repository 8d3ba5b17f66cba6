# SPDX-License-Identifier: Apache-2.0
"""Sends the requests of a client, and reads that fail once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import anyio
import httpx

from z4j_client import protocol, retries
from z4j_client.settings import Connection

T = TypeVar("T")


class AsyncTransport:
    """One pool of connections to one server. `timeout` is in seconds, `retries` how often a failed read is sent again."""

    def __init__(self, connection: Connection, timeout: float, retries: int) -> None:
        self.server = connection.server
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=connection.server,
            auth=protocol.BearerAuth(connection.token),
            headers={"Accept": "application/json", "User-Agent": f"z4j-client/{protocol.VERSION}"},
            verify=connection.context,
            timeout=timeout,
            follow_redirects=False,
            trust_env=not connection.is_local,
        )

    async def send(self, method: str, path: str, kind: type[T], query: Mapping[str, object], body: Any) -> T:
        """Returns the response as `kind`. Raises Z4jError."""
        for attempt in range(self._retries + 1):
            outcome = await self._send_once(method, path, query, body)
            if attempt == self._retries or not retries.may_repeat(method, outcome):
                break
            await anyio.sleep(retries.pause_before(attempt + 1, outcome))
        if isinstance(outcome, httpx.RequestError):
            raise protocol.failure_of(outcome, self.server) from outcome
        return protocol.read(kind, outcome)

    async def _send_once(self, method: str, path: str, query: Mapping[str, object], body: Any) -> httpx.Response | httpx.RequestError:
        try:
            return await self._http.request(method, path, params=protocol.query_of(query), json=body)
        except httpx.RequestError as error:
            return error

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


class AsyncOperations:
    """The operations on one kind of things; an attribute of the client."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _get(self, path: str, kind: type[T], query: Mapping[str, object] | None = None) -> T:
        return await self._transport.send("GET", path, kind, query or {}, None)

    async def _post(self, path: str, kind: type[T], body: Any = None) -> T:
        return await self._transport.send("POST", path, kind, {}, body)
