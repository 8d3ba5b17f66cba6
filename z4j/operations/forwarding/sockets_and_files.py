# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sends a batch over UDP, TCP or TLS, or appends it to a file. Blocks, so it runs in a thread.

TCP has no acknowledgement of its own. A batch is sent over a connection of its own, which is then closed for writing: the receiver's end of
the connection arrives after it has read everything. A batch to a receiver that keeps its end open counts as delivered if its kernel
acknowledged everything.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from z4j.exceptions import BadInput
from z4j.rules.forwarding.target import Place

CONNECT_S: Final = 10.0
CLOSE_S: Final = 5.0
"""How long the receiver's end of a connection is waited for."""
ICMP_S: Final = 0.05
"""After so long a host that has no such port has said so, if it is near."""
ROTATE: Final = 64 * 1024 * 1024
"""Bytes of a file, after which another one begins."""
KEPT: Final = 9
"""Full files that are kept."""


class NotSent(Exception):
    """Nothing, or not everything, has surely arrived; the text says why."""


def send(place: Place, frames: Sequence[bytes], ca: str, folder: Path) -> None:
    """Sends frames in order. `folder` is where files are. Raises NotSent."""
    try:
        if place.transport == "file":
            append(folder / f"{place.host}.jsonl", frames)
        elif place.transport == "udp":
            _datagrams(place, frames)
        else:
            _stream(place, b"".join(frames), ca)
    except ssl.SSLCertVerificationError as error:
        raise NotSent(f"The certificate of {place.host} could not be verified: {error.verify_message}.") from error
    except TimeoutError as error:
        raise NotSent("The receiver did not respond in time.") from error
    except (OSError, ssl.SSLError, UnicodeError) as error:
        raise NotSent(f"{getattr(error, 'strerror', None) or type(error).__name__}.") from error


def check_ca(ca: str) -> None:
    """Raises BadInput if this is no certificate in PEM form."""
    try:
        _context(ca)
    except ssl.SSLError as error:
        raise BadInput("The CA is not a certificate in PEM form. No changes were made.") from error


def _datagrams(place: Place, frames: Sequence[bytes]) -> None:
    """UDP acknowledges nothing. The first datagram is sent alone, so that a host without such a port loses no more than that."""
    family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as udp:
        udp.settimeout(CONNECT_S)
        udp.connect(address)
        for part in (frames[:1], frames[1:]):
            for frame in part:
                udp.send(frame)
            if part:
                time.sleep(ICMP_S)
                if code := udp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(code, os.strerror(code))


def _stream(place: Place, data: bytes, ca: str) -> None:
    with contextlib.closing(socket.create_connection((place.host, place.port), CONNECT_S)) as plain:
        plain.settimeout(CONNECT_S)
        if place.transport == "tcp":
            plain.sendall(data)
            _finish(plain)
            return
        with contextlib.closing(_context(ca).wrap_socket(plain, server_hostname=place.host)) as secured:
            secured.sendall(data)
            secured.settimeout(CLOSE_S)
            _end_tls(secured)
            _finish(secured)


def _context(ca: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=ca or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def _end_tls(secured: ssl.SSLSocket) -> None:
    """Says that nothing follows, and waits for the receiver to say so. Many close the connection instead, after reading everything."""
    try:
        secured.unwrap()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return
    except TimeoutError:
        return  # `_finish` looks at what the receiver's kernel has
    except OSError as error:
        if isinstance(error, ssl.SSLError) or error.errno:
            raise


def _finish(connection: socket.socket) -> None:
    connection.settimeout(CLOSE_S)
    with contextlib.suppress(OSError):  # the receiver has closed already
        socket.socket.shutdown(connection, socket.SHUT_WR)
    until, is_read = time.monotonic() + CLOSE_S, False
    with contextlib.suppress(TimeoutError):
        while not is_read and time.monotonic() < until:
            is_read = not socket.socket.recv(connection, 4_096)
    while (left := _unacknowledged(connection)) and time.monotonic() < until:  # a receiver that closed too early answers with a reset
        time.sleep(0.005)
    if code := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
    if left or (left is None and not is_read):
        raise NotSent("The receiver did not read everything in time.")


def _unacknowledged(connection: socket.socket) -> int | None:
    """How many bytes the receiver's kernel has not acknowledged; None where that cannot be known."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return None


def append(path: Path, frames: Sequence[bytes]) -> None:
    """Appends lines to a file of mode 0600 and waits until they are on disk. A line that a crash left incomplete is ended first. Raises
    OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _rotate(path)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        torn = b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""
        data = memoryview(torn + b"".join(frames))
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
    finally:
        os.close(file)


def _rotate(path: Path) -> None:
    """Renames a file that is full: NAME.jsonl.1 is the newest of the full ones."""
    if not path.exists() or path.stat().st_size < ROTATE:
        return
    for number in range(KEPT, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.unlink() if number == KEPT else older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))
