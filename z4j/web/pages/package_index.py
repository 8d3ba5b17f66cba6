# SPDX-License-Identifier: AGPL-3.0-or-later
"""GET /simple/: the appliance's own package index, for pip and uv without any other (PEP 503, 658, 691, 714).

Read with the session of a page or with an index token as the password of HTTP Basic, which pip and uv take from a netrc file.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any, Final
from urllib.parse import quote

from packaging.utils import canonicalize_name
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from z4j.appliance import wheels
from z4j.appliance.wheels import Wheel
from z4j.exceptions import NotFound
from z4j.web.services import services

JSON: Final = "application/vnd.pypi.simple.v1+json"
HTML: Final = "application/vnd.pypi.simple.v1+html"
META: Final = {"api-version": "1.1"}
MISSING: Final = "This appliance does not serve this package."
HINT: Final = "The list of packages is /simple/. `z4j wheels --add FILE` adds wheels of other platforms."


async def _wheels(request: Request) -> list[Wheel]:
    return await asyncio.to_thread(wheels.list_wheels, services(request).settings.data)


async def list_projects(request: Request) -> Response:
    """GET /simple/."""
    names = wheels.projects(await _wheels(request))
    if _wants_json(request):
        return _json({"meta": META, "projects": [{"name": name} for name in names]})
    return _html("Packages", [f'<a href="/simple/{name}/">{name}</a>' for name in names])


async def list_files(request: Request) -> Response:
    """GET /simple/{project}/."""
    asked = request.path_params["project"]
    project = canonicalize_name(asked)
    if asked != project:
        return RedirectResponse(f"/simple/{quote(project)}/", 301)
    found = [wheel for wheel in await _wheels(request) if wheel.project == project]
    if not found:
        raise NotFound(MISSING, HINT)
    if _wants_json(request):
        versions = sorted({wheel.version for wheel in found})
        return _json({"meta": META, "name": project, "versions": versions, "files": [_file(wheel) for wheel in found]})
    return _html(project, [_link(wheel) for wheel in found])


async def get_file(request: Request) -> Response:
    """GET /simple/{project}/{name}: a wheel, or with `.metadata` behind its name its metadata."""
    project, name = request.path_params["project"], request.path_params["name"]
    wanted = name.removesuffix(".metadata")
    wheel = next((each for each in await _wheels(request) if each.project == project and each.name == wanted), None)
    if wheel is None:
        raise NotFound(MISSING, HINT)
    headers = {"cache-control": "private, max-age=86400"}
    if wanted != name:
        return Response(wheel.metadata, media_type="text/plain; charset=utf-8", headers=headers)
    return FileResponse(wheel.path, media_type="application/octet-stream", headers=headers)


def _url(wheel: Wheel) -> str:
    return f"/simple/{wheel.project}/{quote(wheel.name)}"


def _file(wheel: Wheel) -> dict[str, Any]:
    return {
        "filename": wheel.name, "url": _url(wheel), "hashes": {"sha256": wheel.sha256}, "size": wheel.size,
        "core-metadata": {"sha256": wheel.metadata_sha256},
        **({"requires-python": wheel.requires_python} if wheel.requires_python else {}),
    }  # fmt: skip


def _link(wheel: Wheel) -> str:
    python = f' data-requires-python="{escape(wheel.requires_python)}"' if wheel.requires_python else ""
    metadata = f'sha256={wheel.metadata_sha256}"'
    return (
        f'<a href="{escape(_url(wheel))}#sha256={wheel.sha256}"{python} data-core-metadata="{metadata} data-dist-info-metadata="{metadata}>'
        f"{escape(wheel.name)}</a>"
    )


def _wants_json(request: Request) -> bool:
    return JSON in request.headers.get("accept", "")


def _json(body: dict[str, Any]) -> Response:
    return JSONResponse(body, media_type=JSON, headers={"vary": "Accept"})


def _html(title: str, links: list[str]) -> Response:
    """A page for installers, as PEP 503 wants it: nothing but links."""
    lines = "<br>\n".join(links)
    text = f'<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.1"><title>{escape(title)}</title></head>'
    return HTMLResponse(f"{text}\n<body>\n{lines}\n</body></html>\n", headers={"vary": "Accept"})
