# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the command line verifies the server."""

from __future__ import annotations

import http.client
import os
import ssl
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from z4j.exceptions import BadInput, StoreError
from z4j.listener.redirections import NoRedirections
from z4j.rules.addresses import is_loopback


def context_of(certificate: str) -> ssl.SSLContext:
    """Returns a context that trusts exactly the certificate of this PEM file, under any name: the server of this installation, reached on
    loopback. Raises StoreError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # one certificate is trusted, and the key that belongs to it
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(certificate)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"The certificate {certificate} cannot be read: {error}. No changes were made.") from error
    return context


def opener_of(url: str, context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """Returns what opens a URL of a server. An address of this machine is never asked through a proxy of the environment: the proxy would
    read the token, and could not reach the server. Redirections are not followed: the token is for this server only."""
    handlers: list[urllib.request.BaseHandler] = [NoRedirections()]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    host = urlsplit(url).hostname or ""
    if host == "localhost" or is_loopback(host):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def open_own(request: str | urllib.request.Request, certificate: str | None) -> http.client.HTTPResponse:
    """Asks the server of this installation, never through the proxy of the environment. Raises OSError and StoreError."""
    handlers: list[urllib.request.BaseHandler] = [NoRedirections(), urllib.request.ProxyHandler({})]
    if certificate:
        handlers.append(urllib.request.HTTPSHandler(context=context_of(certificate)))
    answer: http.client.HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=5)
    return answer


def context_with_ca() -> ssl.SSLContext | None:
    """Returns a context that also trusts the certificates of the file $Z4J_CA; None for the CAs of this system alone. Raises BadInput."""
    file = os.environ.get("Z4J_CA", "")
    if not file:
        return None
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(Path(file).expanduser())
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"Z4J_CA names {file}, which cannot be read as PEM: {error}. No changes were made.") from error
    return context
