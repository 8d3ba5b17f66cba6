# SPDX-License-Identifier: AGPL-3.0-or-later
"""The address of the server of a data folder: the one it recorded, unless an address is given. Guesses are marked as such."""

from __future__ import annotations

import argparse
import os

from z4j import ports
from z4j.settings import Settings, variable


def address_of(words: argparse.Namespace, settings: Settings) -> tuple[str, list[str]]:
    """(host:port, sentences about it)."""
    is_given = any(getattr(words, name, None) is not None or variable(name) in os.environ for name in ("host", "port"))
    given = f"{settings.host}:{settings.port}"
    serving = ports.read_address(settings.data)
    if is_given:
        is_other = serving is not None and serving.is_running and serving.netloc != given
        return given, [f"The server of {settings.data} listens on {serving.netloc}, not on {given}."] if is_other and serving else []
    if serving is None:
        return given, [
            f"No server has used {settings.data} yet. {given} is the default address. Replace it if the server listens elsewhere."
        ]
    if not serving.is_running:
        return serving.netloc, [f"No server is running on {settings.data}. The last one listened on {serving.netloc}."]
    if serving.behind_proxy:
        return serving.netloc, [f"The server is behind a proxy. On other hosts, replace {serving.netloc} with the address of the proxy."]
    return serving.netloc, []
