# SPDX-License-Identifier: Apache-2.0
"""Opens the connection of an agent, for its thread and for the doctor. `websockets` and TLS are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import wire
from z4j_agent.runtime.agent_log import websocket_log
from z4j_agent.settings import Settings, agent_version

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

CONNECT_TIMEOUT_S = 10.0


def dial(settings: Settings) -> ClientConnection:
    """Opens a WebSocket, within CONNECT_TIMEOUT_S seconds; no frame has been sent on it. `websockets` sends a ping every 20 seconds and
    closes a connection without an answer after 20 more. Raises the exceptions of the network, TLS and the handshake."""
    from websockets.sync.client import connect

    options: dict[str, Any] = {}
    if settings.is_tls:
        from z4j_agent.connection.tls import make_context

        options["ssl"] = make_context(settings.pins, settings.ca)
    socket: ClientConnection = connect(
        settings.uri,
        additional_headers={"Authorization": f"Bearer {settings.token}"},
        compression=None,
        max_size=wire.MAX_FRAME,
        open_timeout=CONNECT_TIMEOUT_S,
        close_timeout=1,
        ping_interval=20,
        ping_timeout=20,
        logger=websocket_log,
        user_agent_header=f"z4j-agent/{agent_version()}",
        **options,
    )
    return socket
