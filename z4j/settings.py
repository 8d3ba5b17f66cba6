# SPDX-License-Identifier: AGPL-3.0-or-later
"""The settings of the server. Flags override environment variables, which override defaults.

`python -m z4j.settings` prints docs/settings.md from these definitions; a test checks that the file is up to date.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from z4j.exceptions import BadInput
from z4j.listener.host_names import normalized

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def setting(default: Any, text: str) -> Any:
    """Returns a field with its default and its help text."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """Flag `--days-kept` and variable `Z4J_DAYS_KEPT` are both the field `days_kept`."""

    data: Path = setting(Path(".z4j"), "Folder of the database, the keys and the lock file. Created with mode 0700 if missing.")
    host: str = setting("127.0.0.1", "Address to listen on. Addresses other than loopback require TLS or `--behind-proxy`.")
    port: int = setting(7700, "Port of the web pages and the agent gateway.")
    tls: str = setting(
        "",
        "`auto`: serve TLS with a key and a self-signed certificate of the data folder. Connection strings then contain the key's pin.",
    )
    tls_cert: str = setting("", "Serve TLS with the certificate (and its chain) of this PEM file. It is reloaded when it changes.")
    tls_key: str = setting("", "PEM file of the private key of `--tls-cert`, without a password.")
    tls_name: tuple[str, ...] = setting(
        (),
        "With `--tls auto`: further names and addresses of this host for its certificate. The first is sent to agents. Repeat the flag, or "
        "separate names by commas.",
    )
    behind_proxy: bool = setting(
        False,
        "The server runs behind a proxy that terminates TLS and sets `X-Forwarded-For` and `X-Forwarded-Proto`. Cookies are marked Secure.",
    )
    trusted_proxy: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        "With `--behind-proxy`: networks of trusted proxies in CIDR notation. Repeat the flag, or separate networks by commas.",
    )
    public_url: str = setting(
        "",
        "Public URL of the pages, such as `https://z4j.example`, for links in messages. Default: the address that the server listens on.",
    )
    heartbeat: str = setting(
        "", "URL requested once a minute while the server is healthy, such as a heartbeat check of a monitoring service."
    )
    connections: int = setting(
        2_000, "Maximum number of open connections, agents and pages together. Lower if the system allows fewer file descriptors."
    )
    connections_per_address: int = setting(
        300, "Maximum number of unauthenticated connections from one address. Above the limit, one of them is closed."
    )
    connections_per_token: int = setting(500, "Maximum number of agent connections with the same token.")
    days_kept: int = setting(30, "Days to keep finished tasks.")
    gigabytes_kept: float = setting(10.0, "Maximum size of the database in gigabytes. Above it, the oldest tasks are deleted.")
    originals_days_kept: int = setting(
        7, "Days to keep the original message of a succeeded task. A task without its original cannot be retried."
    )
    errors_days_kept: int = setting(
        365,
        "Days to keep an error that has a note, a runbook or an assignee, is ignored, or was merged or split, after the last of its tasks "
        "was deleted and it was last seen. Other errors without stored tasks are kept for 7 days.",
    )
    backup_at: str = setting("03:00", "Time of the nightly backup, in UTC.")
    backups_daily: int = setting(7, "Number of days for which nightly backups are kept, in `backups/` of the data folder.")
    backups_weekly: int = setting(
        4, "Number of weeks for which the last nightly backup of the week is kept. With 0 days and 0 weeks, no nightly backups are made."
    )
    metrics: str = setting(
        "loopback",
        "Who can read `/metrics`: `loopback` (programs on this host, and anyone with a token or a session), "
        "`token` (only requests with a token or a session) or `off`.",
    )
    metrics_series: int = setting(
        1_000, "Label sets of tasks and of queues in `/metrics`. Later ones are summed up as `others`. Histograms have a quarter of them."
    )
    forward_folder: str = setting("", "Folder of forwarded JSON lines (`file:NAME`). Default: `forwarded` in the data folder.")
    log_json: bool = setting(False, "Write log lines as JSON instead of key=value.")
    log_level: str = setting("INFO", "Log level: DEBUG, INFO, WARNING or ERROR.")

    @property
    def database(self) -> Path:
        """The path of the database."""
        return self.data / "z4j.db"

    @property
    def forwarded_files(self) -> Path:
        """The folder of forwarded JSON lines."""
        return Path(self.forward_folder).expanduser() if self.forward_folder else self.data / "forwarded"

    @property
    def has_backups(self) -> bool:
        """Whether nightly backups are made."""
        return self.backups_daily > 0 or self.backups_weekly > 0

    @property
    def backup_time_us(self) -> int:
        """The time of the nightly backup, in microseconds after midnight UTC."""
        hours, minutes = self.backup_at.split(":")
        return (int(hours) * 60 + int(minutes)) * 60_000_000

    @property
    def is_loopback(self) -> bool:
        """Whether the server listens on loopback only."""
        return self.host in LOOPBACK

    @property
    def is_wildcard(self) -> bool:
        """Whether the server listens on all addresses of the host."""
        return self.host in ("0.0.0.0", "::", "")  # noqa: S104 -- compared, not bound to

    @property
    def has_tls(self) -> bool:
        """Whether the server itself speaks TLS."""
        return bool(self.tls or self.tls_cert)

    @property
    def trusted_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The proxies whose headers are trusted: none without `--behind-proxy`."""
        return tuple(ipaddress.ip_network(text, strict=False) for text in self.trusted_proxy) if self.behind_proxy else ()


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags (only those given) and environment. Raises BadInput naming the setting that is wrong."""
    values: dict[str, Any] = {}
    for known in fields(Settings):
        if flags.get(known.name) is not None:
            given = flags[known.name]
            values[known.name] = _parse(known, ",".join(given) if isinstance(given, list) else str(given))
        elif (text := environ.get(variable(known.name))) is not None:
            values[known.name] = _parse(known, text)
    loaded = Settings(**values)
    _check_tls(loaded)
    for name in ("public_url", "heartbeat"):
        if (url := getattr(loaded, name)) and not url.startswith(("https://", "http://")):
            raise BadInput(f"{flag(name)} (or {variable(name)}) is not an address that begins with https:// or http://.")
    for name in ("connections", "connections_per_address", "connections_per_token"):
        if getattr(loaded, name) < 1:
            raise BadInput(f"{variable(name)} (or {flag(name)}) is {getattr(loaded, name)}; the minimum is 1.")
    for name in ("backups_daily", "backups_weekly"):
        if getattr(loaded, name) < 0:
            raise BadInput(f"{variable(name)} (or {flag(name)}) is {getattr(loaded, name)}; the minimum is 0.")
    if loaded.metrics not in ("loopback", "token", "off"):
        raise BadInput(f"Unknown value {loaded.metrics!r} of --metrics.", "Use loopback, token or off.")
    if not 1 <= loaded.metrics_series <= 10_000:
        raise BadInput(f"Z4J_METRICS_SERIES (or --metrics-series) is {loaded.metrics_series}; it must be from 1 to 10,000.")
    if not _TIME.fullmatch(loaded.backup_at):
        raise BadInput(f"{loaded.backup_at!r} of --backup-at is not a time of day.", "Use hours and minutes in UTC, such as 03:00.")
    if loaded.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise BadInput(f"Unknown log level {loaded.log_level!r}.", "Use DEBUG, INFO, WARNING or ERROR.")
    return loaded


def _check_tls(loaded: Settings) -> None:
    if loaded.tls not in ("", "auto"):
        raise BadInput(f"Unknown value {loaded.tls!r} of --tls.", "Use --tls auto, or --tls-cert and --tls-key.")
    if bool(loaded.tls_cert) != bool(loaded.tls_key):
        raise BadInput("--tls-cert and --tls-key belong together; one of them is missing. The server was not started.")
    if loaded.tls and loaded.tls_cert:
        raise BadInput("--tls auto and --tls-cert exclude each other. The server was not started.")
    for name in loaded.tls_name:
        if not normalized(name):
            raise BadInput(f"{name!r} of --tls-name is neither a host name nor an address. The server was not started.")
    if not loaded.is_loopback and not loaded.behind_proxy and not loaded.has_tls:
        raise BadInput(
            f"{loaded.host} is not a loopback address, and without TLS anyone on the network could read the traffic. "
            "The server was not started.",
            "Add --tls auto, or --tls-cert and --tls-key, or run z4j behind a TLS proxy with --behind-proxy.",
        )


def variable(name: str) -> str:
    """Returns the environment variable of a field."""
    return f"Z4J_{name.upper()}"


def flag(name: str) -> str:
    """Returns the command-line flag of a field."""
    return "--" + name.replace("_", "-")


def _parse(known: Field[Any], text: str) -> Any:
    try:
        match known.default:
            case bool():
                if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
                    raise ValueError(text)
                return text.lower() in ("1", "true", "yes", "on")
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple() if known.name == "tls_name":
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case tuple():
                return tuple(str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())
            case Path():
                return Path(text).expanduser()
        return text
    except ValueError as error:
        raise BadInput(f"{variable(known.name)} (or {flag(known.name)}) is {text!r}, which is not a valid value.") from error


def default_text(known: Field[Any]) -> str:
    """Returns the default of a field as a user writes it."""
    return ", ".join(known.default) if isinstance(known.default, tuple) else str(known.default)


def describe() -> str:
    """Returns the settings as a document."""
    lines = [
        "<!-- SPDX-License-Identifier: AGPL-3.0-or-later -->",
        "# Settings",
        "",
        "Written by `make docs` from the definitions in `z4j/settings.py`.",
        "Flags override environment variables, which override defaults.",
        "",
        "| flag | variable | default | |",
        "|---|---|---|---|",
    ]
    for known in fields(Settings):
        text = known.metadata["help"]
        lines.append(f"| `{flag(known.name)}` | `{variable(known.name)}` | `{default_text(known)}` | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(describe(), end="")
