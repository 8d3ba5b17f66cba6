# SPDX-License-Identifier: Apache-2.0
"""Settings of the agent: the connection string and a few variables, all read from the environment.

An invalid setting must never stop the application: `Settings.from_environment` raises `BadSettings`, and `z4j_agent.start` logs one line
and does not start the agent.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LEVELS = ("read", "operate", "all")
DEFAULT_ENVIRONMENT = "production"
LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class BadSettings(ValueError):
    """The environment is invalid. The message contains the variable and the remedy, never the secret."""


@dataclass(frozen=True, slots=True)
class SealKey:
    """An AES-256 key and its ID on the server: the first eight hex digits of its SHA-256."""

    key_id: str
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> SealKey:
        """Reads a key from 43 characters of URL-safe base64. Raises BadSettings."""
        try:
            secret = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError) as error:
            raise BadSettings("the seal key after the dot of Z4J_URL is not base64; set the complete connection string") from error
        if len(secret) != 32:
            raise BadSettings("the seal key after the dot of Z4J_URL is incomplete; set the complete connection string")
        return cls(hashlib.sha256(secret).hexdigest()[:8], secret)

    def __repr__(self) -> str:
        return f"SealKey({self.key_id})"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of an agent. `spool` is the folder of this user and token below the configured one, `spool_limit` is in bytes, `allow`
    is one of LEVELS, `denied` are names of actions, `redact` further names of secrets, and `release` is "" if unknown."""

    host: str
    port: int
    token: str
    is_tls: bool
    pins: tuple[bytes, ...]
    """Public keys of the server that are trusted, each as its SHA-256; more than one while the server changes its key. Without any, CAs
    decide."""
    seal_key: SealKey | None
    old_keys: tuple[SealKey, ...]
    app: str
    environment: str
    release: str
    spool: Path
    spool_limit: int
    allow: str
    denied: tuple[str, ...]
    redact: tuple[str, ...]
    ca: str = ""
    """File of a private CA (`Z4J_CA`), which is trusted besides the CAs of the system; "" for none. Not used where a key is pinned."""
    broker: str = ""
    """The owner's name of this process's broker (`Z4J_BROKER`), "" if its address is its identity. In an adapter with several brokers it
    applies to the default one."""

    log_level: int | None = None
    """Level of the module `logging` from which on lines of running tasks are sent (`Z4J_LOG_LINES`), None for none."""

    are_children_watched: bool = False
    """Whether each child process of a worker has a thread that reports the stack of its task on request (`Z4J_STACKS=1`)."""

    def __repr__(self) -> str:
        return f"Settings({'z4j' if self.is_tls else 'z4j+ws'}://•••@{self.host}:{self.port})"

    @property
    def shown_pins(self) -> list[str]:
        """The pins as they are in a connection string."""
        return [base64.urlsafe_b64encode(pin).decode("ascii").rstrip("=") for pin in self.pins]

    @property
    def uri(self) -> str:
        """The gateway's address, `wss://host:port/agent` or `ws://…`, without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.is_tls else 'ws'}://{host}:{self.port}/agent"

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        url: str | None = None,
        app: str = "",
        environment: str = "",
        allow: str | None = None,
        denied: tuple[str, ...] = (),
        spool: Path | None = None,
        is_plaintext_allowed: bool = False,
    ) -> Settings | None:
        """Reads the settings; arguments have precedence over `environ`, and `denied` is added to it. None without a connection string;
        raises BadSettings for invalid settings."""
        text = (url if url is not None else environ.get("Z4J_URL", "")).strip()
        if not text:
            return None
        try:
            parts = urlsplit(text)
        except ValueError as error:
            raise BadSettings("Z4J_URL is not a URL; set the connection string as it was printed") from error
        is_tls = parts.scheme == "z4j"
        if parts.scheme not in ("z4j", "z4j+ws"):
            raise BadSettings("Z4J_URL does not begin with z4j:// or z4j+ws://; set the connection string as it was printed")
        try:
            host, port = parts.hostname or "", parts.port or 7700
        except ValueError as error:
            raise BadSettings("the port in Z4J_URL is not a number") from error
        token, _, seal = (parts.username or "").partition(".")
        if not host or not token:
            raise BadSettings("Z4J_URL has no host or no token; set the connection string as it was printed")
        if not is_tls and host not in LOOPBACK and not is_plaintext_allowed:
            raise BadSettings(
                f"Z4J_URL requests a plaintext connection to {host}, which would expose the token to the network; use z4j:// (TLS)"
            )
        level = allow if allow is not None else environ.get("Z4J_ALLOW", "operate")
        if level not in LEVELS:
            raise BadSettings(f"Z4J_ALLOW is {level!r}; it must be one of {', '.join(LEVELS)}")
        try:
            limit = int(environ.get("Z4J_SPOOL_LIMIT_MB", "256")) * 1024 * 1024
        except ValueError as error:
            raise BadSettings("Z4J_SPOOL_LIMIT_MB is not a whole number") from error
        listed = (*denied, *_words(environ.get("Z4J_DENIED", "")))
        base = spool or Path(environ.get("Z4J_SPOOL") or default_spool())
        return cls(
            host=host,
            port=port,
            token=token,
            is_tls=is_tls,
            pins=tuple(_pin(word) for text in parse_qs(parts.query).get("pin", ()) for word in _words(text)),
            ca=environ.get("Z4J_CA", "").strip(),
            seal_key=SealKey.parse(seal) if seal else None,
            old_keys=tuple(SealKey.parse(word) for word in _words(environ.get("Z4J_SEAL_KEYS", ""))),
            app=app or environ.get("Z4J_APP", ""),
            environment=environment or environ.get("Z4J_ENVIRONMENT", "") or DEFAULT_ENVIRONMENT,
            release=environ.get("Z4J_RELEASE", "") or find_release(),
            spool=base / hashlib.sha256(f"{os.geteuid()}\0{token}".encode()).hexdigest()[:16],
            spool_limit=limit,
            allow=level,
            denied=tuple(sorted(set(listed))),
            redact=_words(environ.get("Z4J_REDACT", "")),
            broker=environ.get("Z4J_BROKER", "").strip()[:255],
            are_children_watched=environ.get("Z4J_STACKS", "").strip().lower() in ("1", "true", "yes", "on"),
            log_level=_level(environ.get("Z4J_LOG_LINES", "")),
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def _level(text: str) -> int | None:
    word = text.strip().upper()
    if word in ("", "0", "OFF"):
        return None
    if word not in LOG_LEVELS:
        raise BadSettings(f"Z4J_LOG_LINES is {text.strip()[:40]!r}; it must be one of {', '.join(LOG_LEVELS)}, or off")
    return LOG_LEVELS[word]


def _pin(text: str) -> bytes:
    try:
        pin = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadSettings("the pin in Z4J_URL is not base64; set the connection string as it was printed") from error
    if len(pin) != 32:
        raise BadSettings("the pin in Z4J_URL is not a SHA-256 hash; set the connection string as it was printed")
    return pin


def default_spool() -> Path:
    """Returns the default spool folder, which outlives the process: in the user's state folder, else in the temporary one. Creates nothing.
    Never raises."""
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "z4j" / "spool"
    with contextlib.suppress(RuntimeError):  # without HOME, for a user without an entry in passwd, as containers have
        home = Path.home()
        if home != Path("/") and os.access(home, os.W_OK):
            return home / ".local/state/z4j/spool"
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"z4j-{os.geteuid()}"  # noqa: S108 -- prepare_folder checks owner and mode


def find_release(start: Path | None = None) -> str:
    """Returns the git commit (12 digits) of the application's working folder, "" if there is none.

    Read from git's files: starting a program inside the application would be too expensive.
    """
    try:
        here = (start or Path.cwd()).resolve()
        git = next((folder / ".git" for folder in (here, *here.parents) if (folder / ".git").exists()), None)
        if git is None:
            return ""
        if git.is_file():  # a worktree or submodule: "gitdir: <folder>"
            git = (git.parent / git.read_text("utf-8").partition(":")[2].strip()).resolve()
        head = (git / "HEAD").read_text("utf-8").strip()
        if head.startswith("ref: "):
            head = _read_ref(git, head[5:])
    except (OSError, ValueError):
        return ""
    return head[:12] if re.fullmatch(r"[0-9a-f]{40,64}", head) else ""


def _read_ref(git: Path, ref: str) -> str:
    """The commit of a branch, from a loose or a packed ref; "" if there is none yet."""
    common = git / "commondir"
    home = (git / common.read_text("utf-8").strip()).resolve() if common.exists() else git
    for path in (git / ref, home / ref):
        if path.is_file():
            return path.read_text("utf-8").strip()
    packed = home / "packed-refs"
    lines = packed.read_text("utf-8").splitlines() if packed.exists() else []
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {ref}")), "")


def agent_version() -> str:
    """Returns the installed version of the distribution `z4j-agent`, "0" if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version("z4j-agent")
    except metadata.PackageNotFoundError:
        return "0"
