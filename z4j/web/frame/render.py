# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns a page (a frozen dataclass) into HTML. Everything a template may know is in its page; nothing is looked up there."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from z4j import resources
from z4j.web.frame import formats
from z4j.web.frame.forms import local_path
from z4j.web.frame.icons import look
from z4j.web.frame.static import url

NOTICE_COOKIE: Final = "z4j_notice"
THEME_COOKIE: Final = "z4j_theme"
SMALL: Final = 1_400
GZIP_LEVEL: Final = 3
Theme = Literal["system", "light", "dark"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about what the last action did. `kind`: good, warn or bad."""

    kind: str
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class RailItem:
    """A section of the product."""

    word: str
    icon: str
    href: str
    is_current: bool
    key: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter: where a click leads, whether it is on, how many tasks it has (None: not counted)."""

    word: str
    href: str
    is_on: bool = False
    count: int | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class ChoiceGroup:
    """A filter with its values; `more` stand behind a fold."""

    title: str
    choices: tuple[Choice, ...]
    more: tuple[Choice, ...] = ()
    is_mono: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the strip and the rows behind it; `state` colours it, when it is worth a colour."""

    label: str
    value: str
    href: str
    note: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Shell:
    """What stands around every page of a signed-in person."""

    now: int
    theme: Theme
    path: str
    """Path and query of this page: where a switch of the theme returns to."""
    user: str
    role: str
    rail: tuple[RailItem, ...]
    chips: tuple[ChoiceGroup, ...]
    strip: tuple[Number, ...]
    strip_href: str
    heard: str
    version: str
    notice: Notice | None


@cache
def environment() -> Environment:
    """The one Jinja environment. An unknown variable is an error, everything is escaped."""
    env = Environment(
        loader=FileSystemLoader(resources.templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.filters.update(formats.FILTERS)
    env.globals.update(asset=url, look=look)
    return env


def to_html(template: str, page: Any) -> str:
    """A template filled with its page."""
    return environment().get_template(template).render(page=page)


def render(request: Request, template: str, page: Any, status: int = 200) -> Response:
    """A whole page as a response; the notice it shows is shown once."""
    response = respond(request, to_html(template, page), status)
    if NOTICE_COOKIE in request.cookies and not is_refresh(request):
        response.delete_cookie(NOTICE_COOKIE, httponly=True, samesite="lax")
    return response


def respond(request: Request, html: str, status: int = 200) -> Response:
    """HTML, compressed where the browser takes it. What answers a POST may show a secret once and is left as it is."""
    body, headers = html.encode(), {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if request.method == "GET" and len(body) > SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return HTMLResponse(body, status, headers)


def is_refresh(request: Request) -> bool:
    """Whether htmx asks for a region of a page that is open already."""
    return "hx-request" in request.headers


def theme_of(request: HTTPConnection) -> Theme:
    """What the person chose; without a choice the system decides."""
    chosen = request.cookies.get(THEME_COOKIE)
    return "light" if chosen == "light" else "dark" if chosen == "dark" else "system"


def see_other(path: str, notice: Notice | None = None) -> Response:
    """After a POST: go there, and say what was done."""
    response = RedirectResponse(path, 303)
    if notice is not None:
        text = quote(json.dumps([notice.kind, notice.text, notice.href]))
        response.set_cookie(NOTICE_COOKIE, text, max_age=60, httponly=True, samesite="lax")
    return response


def notice_of(request: Request) -> Notice | None:
    """The notice the last response left, if any. It came from a cookie, so it is checked like any input."""
    try:
        kind, text, href = json.loads(unquote(request.cookies.get(NOTICE_COOKIE, "")))
    except (ValueError, TypeError):
        return None
    if kind not in ("good", "warn", "bad") or not (isinstance(text, str) and isinstance(href, str)):
        return None
    return Notice(kind, text, local_path(href, ""))


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """The context of error.html."""

    theme: Theme
    title: str
    status: int
    message: str
    advice: str
    request_id: str
    error: str = ""
    hint: str = ""


async def error_page(connection: HTTPConnection, status: int, title: str, message: str, hint: str, request_id: str) -> Response:
    """What happened, what was not lost, what to do. Needs neither the database nor a known person."""
    page = ErrorPage(theme_of(connection), title.capitalize(), status, message, hint, request_id)
    return HTMLResponse(to_html("error.html", page), status, headers={"Cache-Control": "no-store"})
