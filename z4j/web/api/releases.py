# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of releases: list, compare, mark."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from z4j.operations.releases import mark_release
from z4j.rules.releases.verdicts import Word
from z4j.web.api.endpoints import Operation, answer, read_body
from z4j.web.pages.releases.detail import detail_json
from z4j.web.pages.releases.list import list_json
from z4j.web.services import services


class ReleaseItem(Struct):
    """A release of an app in an environment, and when it was first seen (microseconds UTC)."""

    app: str
    environment: str
    release: str
    first_at: int


class ReleaseVerdict(Struct):
    """The verdict on failures, runtime or retries. `text` names both values, the test and the size of the sample."""

    measure: str
    word: Word
    text: str
    p: float


class ReleaseSide(Struct):
    """The runs of a task name before or with the release. Percentiles are null without runs."""

    ended: int
    failed: int
    started: int
    retried: int
    p50_us: int | None
    p95_us: int | None


class NameComparison(Struct):
    """A task name before and with the release; `word` is the worst verdict."""

    name: str
    engine: str
    word: Word
    verdicts: list[ReleaseVerdict]
    before: ReleaseSide
    after: ReleaseSide


class ReleaseComparison(ReleaseItem):
    """Every task name that ran with the release until `until`, against other releases since `since`. `left_out` series were not read."""

    since: int
    until: int
    left_out: int
    names: list[NameComparison]


class ReleaseList(Struct):
    """Newest first; `before` is the cursor of the next page, null at the end."""

    releases: list[ReleaseItem]
    before: int | None


class ReleaseMark(Struct, forbid_unknown_fields=True):
    """A release to mark from now on, or from `at` (microseconds UTC)."""

    release: str
    app: str
    environment: str = ""
    at: int | None = None


class MarkedRelease(Struct):
    """The release that was marked."""

    release: str


async def compare(request: Request) -> Response:
    """GET /api/v1/releases/compare."""
    return await detail_json(request)


async def mark(request: Request) -> Response:
    """POST /api/v1/releases."""
    server, body = services(request), await read_body(request, ReleaseMark)
    at = request.scope["came_at"] if body.at is None else body.at
    await mark_release(
        server.store, server.audit, server.live, request.scope["identity"], release=body.release, app=body.app,
        environment=body.environment, at=at,
    )  # fmt: skip
    return answer({"release": body.release}, 201)


SCOPE: Final = (
    ("release", "The release."), ("app", "The app, if several have this release."),
    ("environment", "The environment, if the release was seen in several."),
)  # fmt: skip
OPERATIONS: Final = (
    Operation("GET", "/api/v1/releases", list_json, "viewer", "Releases by when they were first seen.", ReleaseList,
              query=(("before", "Cursor of the next page."),)),
    Operation("POST", "/api/v1/releases", mark, "operator", "Mark a release.", MarkedRelease, ReleaseMark, status=201),
    Operation("GET", "/api/v1/releases/compare", compare, "viewer", "Each task before and with a release.", ReleaseComparison,
              query=SCOPE),
)  # fmt: skip
