# SPDX-License-Identifier: AGPL-3.0-or-later
"""The address of the server of a data folder: a running server records it in a file of the folder, so that the command line does not have
to guess it."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from z4j import clock, files
from z4j.settings import Settings, variable

ADDRESS_FILE = "server.json"
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- compared, not bound to


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the server of a data folder is reached. `is_running` is False for what a server that was killed has left behind."""

    host: str
    port: int
    pid: int
    behind_proxy: bool
    is_running: bool = True
    tls: Tls | None = None

    @property
    def netloc(self) -> str:
        """`127.0.0.1:7700`, as it listens."""
        return netloc(self.host, self.port)

    @property
    def local_url(self) -> str:
        """The address for programs on this machine. A server that listens on all addresses is asked on loopback."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 -- compared, not bound to
        return f"{'https' if self.tls else 'http'}://{netloc(host, self.port)}"

    @property
    def public_url(self) -> str:
        """The public address of the pages."""
        return f"{'https' if self.tls else 'http'}://{self.public_netloc}"

    @property
    def public_netloc(self) -> str:
        """The address for other machines, as far as it is known."""
        return netloc(self.tls.name, self.port) if self.tls and self.host in WILDCARDS else self.netloc


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server of a data folder is verified: `certificate` is its PEM file, `pins` are those of connection strings, `name` is the
    first name of its certificate."""

    certificate: str
    pins: tuple[str, ...]
    name: str


def netloc(host: str, port: int) -> str:
    """Returns `host:port`, with the brackets of an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def write_address(folder: Path, host: str, port: int, *, behind_proxy: bool, tls: Tls | None = None) -> None:
    """Notes where this process serves the folder. Raises OSError."""
    facts = {"host": host, "port": port, "pid": os.getpid(), "behind_proxy": behind_proxy, "tls": asdict(tls) if tls else None}
    files.write_whole(folder / ADDRESS_FILE, json.dumps(facts) + "\n")


def remove_address(folder: Path) -> None:
    """Removes the recorded address when the server stops."""
    with contextlib.suppress(OSError):
        (folder / ADDRESS_FILE).unlink()


def read_address(folder: Path) -> Serving | None:
    """Returns where the data folder is or was served; None if that is unknown."""
    try:
        fields = json.loads((folder / ADDRESS_FILE).read_text("utf-8"))
        tls = fields.get("tls")
        return Serving(
            str(fields["host"]), int(fields["port"]), int(fields["pid"]), bool(fields["behind_proxy"]), is_locked(folder),
            Tls(str(tls["certificate"]), tuple(map(str, tls["pins"])), str(tls["name"])) if tls else None,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_locked(folder: Path) -> bool:
    """Whether a server holds the lock of the folder now."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@dataclass(frozen=True, slots=True)
class Address:
    """Where a command reaches the server (`url`), where people and agents do (`netloc`), and what to say about it."""

    url: str
    netloc: str
    tls: Tls | None = None
    notes: tuple[str, ...] = ()

    @property
    def public_url(self) -> str:
        """The public address of the pages."""
        return f"{'https' if self.tls else 'http'}://{self.netloc}"


def configured_tls(settings: Settings) -> Tls | None:
    """Returns how a server with these settings will be verified; with `--tls auto` its key is created. Raises StoreError."""
    from z4j.listener import certificates  # 30 ms, for those who use TLS

    if not settings.has_tls:
        return None
    if settings.tls:
        file, names = certificates.server_file(settings.data), certificates.own_names(settings.tls_name)
        found, following = certificates.prepare(settings.data, names, clock.now()), certificates.next_pin(settings.data)
    else:
        file, following = Path(settings.tls_cert), ""
        found = certificates.read(file)
    return tls_of(settings, file, found.names, certificates.pins_of(found, following))


def tls_of(settings: Settings, file: Path, names: Sequence[str], pins: tuple[str, ...]) -> Tls:
    """Returns what is recorded of a certificate. Agents use the name that the operator chose first, else the certificate's first one."""
    return Tls(str(file.resolve()), pins, next(iter((*settings.tls_name, *names)), settings.host))


def address_of(words: argparse.Namespace, settings: Settings) -> Address:
    """Returns the recorded address of the server of the data folder, unless an address is given. Raises StoreError."""
    given = {name for name in ("host", "port") if getattr(words, name, None) is not None or variable(name) in os.environ}
    serving = read_address(settings.data)
    if serving is None or any(getattr(serving, name) != getattr(settings, name) for name in given):
        asked = Serving(settings.host, settings.port, 0, settings.behind_proxy, False, configured_tls(settings))
        note = ""
        if serving is None and not given:
            note = (
                f"No server has used {settings.data} yet. {asked.public_netloc} is the default address. "
                "Replace it if the server listens elsewhere."
            )
        elif serving is not None and serving.is_running:
            note = f"The server of {settings.data} listens on {serving.netloc}, not on {asked.netloc}."
        return _address(asked, note)
    serving = replace(serving, tls=_current(serving.tls, settings))
    if not serving.is_running:
        return _address(serving, f"No server is running on {settings.data}. The last one listened on {serving.netloc}.")
    if serving.behind_proxy:
        return _address(
            serving, f"The server is behind a proxy. On other hosts, use z4j:// and its address instead of z4j+ws:// and {serving.netloc}."
        )
    return _address(serving, "")


def _current(tls: Tls | None, settings: Settings) -> Tls | None:
    """The pins of now: since the server began, a rotation of its own key may have begun or ended. Raises StoreError."""
    if tls is None or not tls.pins:
        return tls
    from z4j.listener import certificates

    file = certificates.server_file(settings.data)
    if Path(tls.certificate) != file.resolve():
        return replace(tls, pins=(certificates.read(Path(tls.certificate)).pin,))
    return replace(tls, pins=certificates.pins_of(certificates.read(file), certificates.next_pin(settings.data)))


def _address(serving: Serving, note: str) -> Address:
    return Address(serving.local_url, serving.public_netloc, serving.tls, (note,) if note else ())
