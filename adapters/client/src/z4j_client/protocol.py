# SPDX-License-Identifier: Apache-2.0
"""Code that both clients have in common, without I/O: the parts of a request and the reading of a response."""

from __future__ import annotations

import dataclasses
import json
import ssl
from collections.abc import Generator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from z4j_client.decoding import decode
from z4j_client.exceptions import BY_STATUS, ApiError, BadResponse, CertificateRefused, ConnectionFailed, TimedOut
from z4j_client.retries import causes_of
from z4j_client.settings import Token
from z4j_client.tls import PinMismatch

T = TypeVar("T")
VERSION: Final = "0.1.0"
PREFIX: Final = "/api/v1"


class BearerAuth(httpx.Auth):
    """Adds the token to each request; the token is in no other attribute of the HTTP client."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yields the request with its Authorization header."""
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        yield request


def path_of(template: str, **values: object) -> str:
    """Returns the path of an operation: `path_of("/tasks/{id}", id=7)` is /api/v1/tasks/7."""
    return PREFIX + template.format_map({name: quote(str(value), safe="") for name, value in values.items()})


def query_of(query: Mapping[str, object]) -> dict[str, str]:
    """Returns the parameters of a URL; those that are None are left out."""
    return {name: str(value) for name, value in query.items() if value is not None}


def body_of(body: Mapping[str, object] | None) -> Any:
    """Returns a body for JSON; fields that are None are left out, for which the server takes its default."""
    if body is None:
        return None
    return {name: _plain(value) for name, value in body.items() if value is not None}


def whole_body_of(body: Any) -> Any:
    """Returns a dataclass as a body for JSON."""
    return _plain(body)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (tuple, set, frozenset, range)):
        return list(value)
    return value


def read(kind: type[T], response: httpx.Response) -> T:
    """Returns the body of a response as `kind`. Raises ApiError and BadResponse."""
    if not response.is_success:
        raise error_of(response)
    try:
        value = json.loads(response.content)
    except ValueError:
        raise BadResponse(f"The response of {_address(response)} is not JSON.", "Check the address of the server.") from None
    return decode(kind, value)


def error_of(response: httpx.Response) -> ApiError | BadResponse:
    """Returns the exception of a response that is no success."""
    if response.is_redirect:
        return BadResponse(
            f"{_address(response)} redirects elsewhere, and the request was not repeated there.", "Use the address of the server itself."
        )
    kind = BY_STATUS.get(response.status_code, ApiError)
    try:
        problem = json.loads(response.content)
        texts = [str(problem[name]) for name in ("detail", "hint", "title", "request")]
    except (ValueError, KeyError, TypeError):
        return kind(response.status_code, f"{_address(response)} responded with {response.status_code} {response.reason_phrase}.")
    return kind(response.status_code, *texts)


def failure_of(error: httpx.RequestError, server: str) -> ConnectionFailed:
    """Returns the exception for a request that has no response."""
    for cause in causes_of(error):
        if isinstance(cause, PinMismatch):
            return CertificateRefused(
                f"The public key of {server} is not the pinned one. The token was not sent.",
                "Check that this is the server. After a change of its key, use the new pin, which `z4j tls show` prints.",
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateRefused(
                f"The certificate of {server} could not be verified: {cause.verify_message}. The token was not sent.",
                "Use `pin`, or `ca_file` with the certificate of the server or of its CA.",
            )
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"No response from {server} within the timeout ({type(error).__name__}).", "Use a longer `timeout`.")
    return ConnectionFailed(
        f"No response from {server}: {error or type(error).__name__}.", "Check the address, and whether the server runs."
    )


def _address(response: httpx.Response) -> str:
    return str(response.request.url.copy_with(query=None))
