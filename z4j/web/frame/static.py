# SPDX-License-Identifier: AGPL-3.0-or-later
"""Static files: read once, compressed once, served from memory under a URL that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import resources
from z4j.exceptions import NotFound

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of static/: its URL, its bytes plain and compressed."""

    url: str
    media_type: str
    body: bytes
    packed: bytes


@cache
def load(folder: Path) -> dict[str, Asset]:
    """Returns every file of static/ by its path; files without a known type are not served."""
    assets = {}
    for file in sorted(folder.rglob("*")):
        media_type = TYPES.get(file.suffix)
        if media_type is None or not file.is_file():
            continue
        name = file.relative_to(folder).as_posix()
        body = file.read_bytes()
        mark = hashlib.sha256(body).hexdigest()[:12]
        assets[name] = Asset(f"/static/{mark}/{name}", media_type, body, gzip.compress(body, 9, mtime=0))
    return assets


@cache
def _folder() -> Path:
    return resources.static()


@cache
def url(name: str) -> str:
    """Returns the URL of a static file for a template. Raises KeyError for a missing file: a broken build."""
    return load(_folder())[name].url


async def static_file(request: Request) -> Response:
    """GET /static/<hash>/<path>: cached permanently, because other content has another URL."""
    asset = load(_folder()).get(request.path_params["path"])
    if asset is None or asset.url != request.url.path:
        raise NotFound("This file does not exist, or belongs to another release.", "Reload the page.")
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)
