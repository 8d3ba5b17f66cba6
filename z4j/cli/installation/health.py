# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j health`: whether the server of this data folder answers, for containers and monitors."""

from __future__ import annotations

import argparse
import urllib.error

from z4j.appliance.server_address import address_of
from z4j.cli.common import https
from z4j.cli.common.output import say
from z4j.exceptions import StoreError
from z4j.settings import Settings


def health(words: argparse.Namespace, settings: Settings) -> int:
    """Prints `ok`, or what fails. Returns 0 if the server can be used; raises StoreError if not."""
    server = address_of(words, settings)
    try:
        with https.open_own(f"{server.url}/healthz", server.tls.certificate if server.tls else None) as answer:
            say(answer.read(10_000).decode("utf-8", "replace").rstrip())
    except urllib.error.HTTPError as error:
        raise StoreError(
            f"The server at {server.url} responded with {error.code}: {error.read(1_000).decode('utf-8', 'replace').strip()}"
        ) from error
    except OSError as error:
        raise StoreError(f"The server does not respond at {server.url}: {getattr(error, 'reason', error)}.") from error
    return 0
