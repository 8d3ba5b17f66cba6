# SPDX-License-Identifier: AGPL-3.0-or-later
"""What systemd offers to a service: a notification when it is ready, a watchdog, and a socket that it has bound already.

See sd_notify(3) and sd_listen_fds(3). Without systemd nothing happens.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import MutableMapping
from typing import Final

from z4j import logs
from z4j.exceptions import StoreError
from z4j.listener.host_names import is_loopback
from z4j.settings import Settings

FIRST_FD: Final = 3


def notify(state: str, environ: MutableMapping[str, str] = os.environ) -> bool:
    """Sends the service manager a state such as `READY=1`. Returns whether it was sent; raises nothing."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(1)
            sock.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError as error:
        logs.not_notified(state.partition("=")[0], error.strerror or str(error))
        return False
    return True


def watchdog_s(environ: MutableMapping[str, str] = os.environ) -> float | None:
    """Returns the seconds after which the service manager ends a service that has not reported, None without a watchdog."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    return (
        int(microseconds) / 1_000_000 if microseconds.isdigit() and int(microseconds) > 0 and _is_for_us(environ, "WATCHDOG_PID") else None
    )


def take_listener(environ: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """Returns the socket that the service manager has bound for this process, None if there is none. Only the first one is used. The
    variables are removed, so that no child takes them for its own."""
    count = environ.get("LISTEN_FDS", "")
    if not (count.isdigit() and int(count) > 0 and _is_for_us(environ, "LISTEN_PID")):
        return None
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    try:
        found = socket.socket(fileno=FIRST_FD)
    except OSError:
        return None  # the variables were set for another process, and so was the descriptor
    os.set_inheritable(FIRST_FD, False)
    if found.type != socket.SOCK_STREAM or found.family not in (socket.AF_INET, socket.AF_INET6):
        found.detach()
        return None
    return found


def address_of(listener: socket.socket, settings: Settings) -> str:
    """Returns the address of a socket that the service manager has bound. Raises StoreError where the settings do not permit it: without
    TLS and without a proxy only loopback is served."""
    host = str(listener.getsockname()[0])
    if is_loopback(host) or settings.has_tls or settings.behind_proxy:
        return host
    raise StoreError(
        f"The service manager has bound {host}, which is not a loopback address, and without TLS anyone on the network could read the "
        "traffic. The server was not started.",
        "Add --tls auto, or bind 127.0.0.1 in the socket unit.",
    )


def _is_for_us(environ: MutableMapping[str, str], name: str) -> bool:
    """Whether a variable names this process. The executable is two: systemd knows the first, this is its child."""
    pid = environ.get(name, "")
    return not pid or pid in (str(os.getpid()), str(os.getppid()) if getattr(sys, "frozen", False) else "")
