# SPDX-License-Identifier: AGPL-3.0-or-later
"""News: changes since a user's last visit, by time. Opening the page moves the read marker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.clock import DAY_US
from z4j.exceptions import BadInput
from z4j.formats import HOUR, MINUTE
from z4j.operations.findings.news import DAYS
from z4j.rules.findings.news import News, summary
from z4j.store.access import users
from z4j.store.access.users import NewsMarks
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, is_refresh, render, respond, see_other, to_html
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import weekday
from z4j.web.pages.settings.access import record_action
from z4j.web.services import services

SHOWN: Final = 300
SAME_VISIT_US: Final = 10 * MINUTE
"""If the page is opened again within this time, the same news are still shown as new."""
BACK: Final = {"before": "your previous visit", "1h": "an hour ago", "1d": "a day ago", "7d": "a week ago"}
_SPANS: Final = {"1h": HOUR, "1d": DAY_US, "7d": 7 * DAY_US}


@dataclass(frozen=True, slots=True)
class NewsPage:
    """The context of news/page.html. `since` is the previous read marker."""

    shell: Shell
    unread: tuple[News, ...]
    earlier: tuple[News, ...]
    since: int
    since_text: str
    summary: str
    days: int
    back: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BellRegion:
    """The context of _bell.html."""

    unread: int


async def page(request: Request) -> Response:
    """GET /news."""
    server, identity, at = services(request), request.scope["identity"], request.scope["came_at"]
    marks = await users.read_news_marks(server.store, identity.user_id) or NewsMarks(at, at)
    since = marks.before if at - marks.read_until < SAME_VISIT_US else marks.read_until
    every = [each for each in await server.news.recent() if each.is_for(identity.name)][:SHOWN]
    unread = tuple(each for each in every if each.at > since)
    shell = await make_shell(request, "news")
    if identity.user_id and request.method == "GET" and not is_refresh(request):
        moved, shell = NewsMarks(max(at, marks.read_until), since), replace(shell, unread=0)
        await server.store.note("mark of read news", partial(users.set_news_marks, id=identity.user_id, marks=moved))
    context = NewsPage(
        shell=shell, unread=unread, earlier=tuple(every[len(unread) :]), since=since,
        since_text=weekday(since, at), summary=summary(unread), days=DAYS, back=tuple(BACK.items()),
    )  # fmt: skip
    return render(request, "news/page.html", context)


async def set_mark(request: Request) -> Response:
    """POST /news/mark: moves the read marker back, so that news are unread again."""
    identity, store = request.scope["identity"], services(request).store
    to, at = (await read_form(request)).get("to", ""), clock.now()
    if to not in BACK:
        raise BadInput("Unknown time. No changes were made.", "Choose one of the list.")
    marks = await users.read_news_marks(store, identity.user_id)
    if marks is None:
        raise BadInput("An API token has no read marker. No changes were made.", "Sign in as a user.")
    mark = marks.before if to == "before" else at - _SPANS[to]
    await store.write(partial(users.set_news_marks, id=identity.user_id, marks=NewsMarks(mark, mark)))
    await record_action(request, "set_news_mark", f"user:{identity.name}", to=to)
    return see_other("/", Notice("good", f"News since {weekday(mark, at)} are marked as unread.", "/news"))


async def bell(request: Request) -> Response:
    """GET /news/bell: the number of unread news, for a page that is already open."""
    identity = request.scope["identity"]
    unread = await services(request).news.unread(identity.name, identity.news_at)
    return respond(request, to_html("_bell.html", BellRegion(len(unread))))
