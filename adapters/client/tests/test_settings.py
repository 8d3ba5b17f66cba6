# SPDX-License-Identifier: Apache-2.0
"""Where the server is, and the token: arguments first, then files, then the environment; nothing of it shows the token."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from z4j_client import AsyncClient, Client, NotConfigured
from z4j_client.settings import Connection, Token, resolve

SECRET = "z4k_0123456789abcdef"
PIN = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")


def resolved(environment: dict[str, str] | None = None, **options: Any) -> Connection:
    given = {"server": None, "token": None, "token_file": None, "pin": None, "ca_file": None} | options
    return resolve(environment=environment or {}, **given)


def test_arguments_come_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("z4k_from_file\nsecond line\n")
    environment = {"Z4J_SERVER": "https://queue.internal:7700/", "Z4J_API_TOKEN": "z4k_env", "Z4J_PIN": PIN}
    found = resolved(environment)
    assert (found.server, found.token.reveal(), found.is_local) == ("https://queue.internal:7700", "z4k_env", False)
    assert resolved(environment, token_file=file).token.reveal() == "z4k_from_file"
    assert resolved(environment, token="z4k_given", token_file=file).token.reveal() == "z4k_given"
    assert resolved({"Z4J_API_TOKEN_FILE": str(file)}).token.reveal() == "z4k_from_file"
    assert resolved({"Z4J_API_TOKEN": SECRET}).server == "http://127.0.0.1:7700"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": None}, "No API token was given"), ({"token": " "}, "No API token"), ({"token": "a b"}, "invalid characters"),
        ({"token": None, "token_file": "/nowhere/z4k_secret"}, "cannot be read"), ({"server": "queue.internal:7700"}, "not an http"),
        ({"server": "https://h:port"}, "not an http"), ({"server": "ftp://h"}, "not an http"),
        ({"server": "https://h/?a=b"}, "not an http"),
        ({"server": "https://ada:secret@h"}, "contains credentials"), ({"server": "http://queue.internal:7700"}, "readable on the network"),
        ({"server": "https://h", "pin": "short"}, "not a SHA-256"), ({"server": "http://127.0.0.1:1", "pin": PIN}, "the address is http"),
        ({"server": "https://h", "ca_file": "/nowhere.pem"}, "cannot be read as PEM"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_sent(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NotConfigured) as refused:
        resolved(**{"token": SECRET} | options)
    assert words in refused.value.message
    assert "Nothing was sent." in refused.value.message
    for secret in ("secret", SECRET):
        assert secret not in str(refused.value)


def test_http_is_for_this_machine_unless_it_is_allowed() -> None:
    for address in ("http://localhost:7700", "http://127.0.0.2:7700", "http://[::1]:7700"):
        assert resolved(server=address, token=SECRET).is_local
    assert not resolved(server="http://proxy.internal", token=SECRET, allow_plaintext=True).is_local


def test_no_repr_shows_the_token() -> None:
    assert SECRET not in repr(Token(SECRET))
    assert SECRET not in repr(resolved(token=SECRET))
    for kind in (Client, AsyncClient):
        client: Any = kind("http://127.0.0.1:9", token=SECRET)
        shown = [repr(client), repr(vars(client)), repr(vars(client._transport)), repr(vars(client._transport._http))]
        shown += [repr(client._transport._http.headers), repr(vars(client._transport._http.auth))]
        assert SECRET not in " ".join(shown)
        assert repr(client) == f"{kind.__name__}('http://127.0.0.1:9')"
