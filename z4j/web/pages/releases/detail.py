# SPDX-License-Identifier: AGPL-3.0-or-later
"""One release: each task before and after it with a verdict, new errors, and a retry of its failures once it is replaced."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import NotFound
from z4j.formats import number, percent
from z4j.rules.findings.finding import Scope, name_href, plan_href, tasks_href
from z4j.rules.permissions import is_allowed, may_act
from z4j.rules.releases.verdicts import WORDS, Side, Verdict, Word, verdicts, worst
from z4j.store.releases import release_runs
from z4j.store.releases.release_runs import Comparison, NameRuns, NewError, Release
from z4j.web.frame import export
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell
from z4j.web.pages.releases.list import plain
from z4j.web.services import services

STATES: Final[dict[Word, str]] = {"worse": "failed", "too few runs": "unknown", "no difference": "succeeded", "better": "succeeded"}
SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class NameLine:
    """A task name as one row. `word` is that of all its measures, `shares` the failures after and before."""

    runs: NameRuns
    href: str
    tasks_href: str
    word: Word
    state: str
    verdicts: tuple[Verdict, ...]
    shares: tuple[str, str]
    p50: tuple[int | None, int | None]
    p95: tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """The context of releases/detail.html. `retry_href` is empty until a newer release is seen."""

    shell: Shell
    release: Release
    lines: tuple[NameLine, ...]
    summary: tuple[tuple[str, str, int], ...]
    """(state, words, how many) of the verdicts."""
    comparison: Comparison
    errors: tuple[NewError, ...]
    newer: str
    newer_at: int | None
    failed: int
    failed_href: str
    retry_href: str
    may_retry: bool
    may_audit: bool


async def _read(request: Request) -> tuple[Release, Comparison]:
    store, query = services(request).store, request.query_params
    wanted = request.path_params.get("release") or query.get("release", "")
    found = await release_runs.find_release(
        store, wanted, app=query.get("app", ""), environment=query.get("environment", "")
    )  # fmt: skip
    if found is None:
        raise NotFound("Release not found. No agent has reported it, or it was deleted after the retention period.")
    return found, await release_runs.compare(store, found, request.scope["came_at"])


async def detail_page(request: Request) -> Response:
    """GET /releases/{release}."""
    release, comparison = await _read(request)
    store, role = services(request).store, request.scope["identity"].role
    lines = sorted((_line(release, runs) for runs in comparison.names), key=_order)
    newer = await release_runs.newer_release(store, release)
    scope = Scope(release.app, release.environment)
    counts = Counter(line.word for line in lines)
    query = f"release:{_quoted(release.release)}"
    page = ReleasePage(
        shell=await make_shell(request, "changes"), release=release, lines=tuple(lines[:SHOWN]),
        summary=tuple((STATES[word], word, counts[word]) for word in WORDS if counts[word]), comparison=comparison,
        errors=tuple(await release_runs.list_new_errors(store, release, newer[1] if newer else comparison.until)),
        newer=newer[0] if newer else "", newer_at=newer[1] if newer else None, failed=sum(line.runs.after.bad for line in lines),
        failed_href=tasks_href(scope, state=("failed", "lost", "rejected"), q=query),
        retry_href=plan_href(scope, state="failed", q=query) if newer else "", may_retry=may_act(role, "retry_task"),
        may_audit=is_allowed(role, "auditor"),
    )  # fmt: skip
    return render(request, "releases/detail.html", page)


def _order(line: NameLine) -> tuple[int, float, str]:
    least = min((verdict.p for verdict in line.verdicts if verdict.word == line.word), default=1.0)
    return WORDS.index(line.word), least, line.runs.name


def _line(release: Release, runs: NameRuns) -> NameLine:
    found = verdicts(runs.before, runs.after)
    word = worst(found)
    scope = Scope(release.app, release.environment, runs.engine)
    return NameLine(
        runs, name_href(scope, runs.name), tasks_href(scope, name=runs.name, q=f"release:{_quoted(release.release)}"), word, STATES[word],
        found, (_share(runs.after), _share(runs.before)), (runs.after.quantile(0.5), runs.before.quantile(0.5)),
        (runs.after.quantile(0.95), runs.before.quantile(0.95)),
    )  # fmt: skip


def _share(side: Side) -> str:
    return f"{number(side.bad)} ({percent(side.bad_share)})" if side.ended else "–"


def _quoted(text: str) -> str:
    return f'"{text}"' if any(letter in text for letter in ' :"') else text


async def detail_json(request: Request) -> Response:
    """GET /releases/{release}.json and GET /api/v1/releases/compare."""
    release, comparison = await _read(request)
    return export.to_json({**plain(release), **_plain(comparison)})


def _plain(comparison: Comparison) -> dict[str, Any]:
    return {
        "since": comparison.since, "until": comparison.until, "left_out": comparison.left_out,
        "names": [
            {
                "name": runs.name, "engine": runs.engine, "word": worst(found := verdicts(runs.before, runs.after)),
                "verdicts": [verdict._asdict() for verdict in found],
                **{when: {"ended": side.ended, "failed": side.bad, "started": side.started, "retried": side.retried,
                          "p50_us": side.quantile(0.5), "p95_us": side.quantile(0.95)}
                   for when, side in (("before", runs.before), ("after", runs.after))},
            }
            for runs in comparison.names
        ],
    }  # fmt: skip
