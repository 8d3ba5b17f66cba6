# SPDX-License-Identifier: Apache-2.0
"""Where the server is, how it is verified, and the token: from arguments, a file or the environment."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from z4j_client.exceptions import NotConfigured
from z4j_client.tls import make_context, read_pins

DEFAULT_SERVER: Final = "http://127.0.0.1:7700"
CREATE: Final = "Create a token with `z4j token create --api LABEL --role operator`."


class Token:
    """An API token that no repr, log line or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Returns the token itself, for the Authorization header."""
        return self._text

    def __repr__(self) -> str:
        return "<hidden>"


@dataclass(frozen=True, slots=True)
class Connection:
    """`server` is the address without a slash at its end; `is_local` whether it is this machine, which no proxy can reach."""

    server: str
    token: Token
    context: ssl.SSLContext
    is_local: bool


def resolve(
    server: str | None,
    token: str | None,
    token_file: str | os.PathLike[str] | None,
    pin: str | None,
    ca_file: str | os.PathLike[str] | None,
    *,
    allow_plaintext: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Connection:
    """Returns the connection of these arguments; each that is None is read from Z4J_SERVER, Z4J_API_TOKEN, Z4J_API_TOKEN_FILE, Z4J_PIN
    or Z4J_CA. Raises NotConfigured."""
    address = (server or environment.get("Z4J_SERVER", "") or DEFAULT_SERVER).strip().rstrip("/")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise NotConfigured("The address of the server is not an http or https URL. Nothing was sent.", "Use https://HOST:7700.")
    if parts.username is not None or parts.password is not None:
        raise NotConfigured("The address of the server contains credentials. Nothing was sent.", "Use `token`, or `token_file`.")
    is_local = _is_loopback(host)
    if parts.scheme == "http" and not is_local and not allow_plaintext:
        raise NotConfigured(
            "The address is plaintext http to another machine: the token would be readable on the network. Nothing was sent.",
            "Use https, or `allow_plaintext=True` if the connection is protected in another way.",
        )
    secret = _read_token(token, token_file, environment)
    pins = read_pins(environment.get("Z4J_PIN", "") if pin is None else pin)
    ca = environment.get("Z4J_CA", "") if ca_file is None else os.fspath(ca_file)
    if pins and parts.scheme == "http":
        raise NotConfigured("A pin is given, and the address is http. Nothing was sent.", "Use https.")
    context = make_context(pins, ca) if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return Connection(address, Token(secret), context, is_local)


def _read_token(token: str | None, token_file: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> str:
    file = token_file
    if token is None and file is None and not (token := environment.get("Z4J_API_TOKEN")):
        file = environment.get("Z4J_API_TOKEN_FILE") or None
    if not token and file is not None:
        try:
            token = Path(file).expanduser().read_text("utf-8").partition("\n")[0]
        except (OSError, UnicodeError) as error:  # its name is not repeated: it may be the token itself
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
            raise NotConfigured(f"The token file cannot be read: {why}. Nothing was sent.", CREATE) from None
    secret = (token or "").strip()
    if not secret:
        raise NotConfigured("No API token was given. Nothing was sent.", f"Use `token`, `token_file` or Z4J_API_TOKEN. {CREATE}")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise NotConfigured("The API token contains invalid characters. Nothing was sent.", CREATE)
    return secret


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
