# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turns a page (a frozen dataclass) into HTML. All data of a template is in its page; a template looks up nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from z4j import formats, resources
from z4j.exceptions import Z4jError
from z4j.web.frame import times
from z4j.web.frame.charts import filters as charts
from z4j.web.frame.forms import NOTICE_COOKIE, local_path
from z4j.web.frame.icons import look
from z4j.web.frame.keyboard_shortcuts import script_keys
from z4j.web.frame.static import url
from z4j.web.frame.templating.cached_components import PARTS
from z4j.web.frame.templating.compiled_templates import CompiledTemplates
from z4j.web.frame.templating.escaping import TemplateEnvironment

THEME_COOKIE: Final = "z4j_theme"
SMALL: Final = 1_400
GZIP_LEVEL: Final = 3
Theme = Literal["system", "light", "dark"]


@dataclass(frozen=True, slots=True)
class Notice:
    """The result of the last action. `kind`: good, warn or bad."""

    kind: str
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class RailItem:
    """A section in the navigation."""

    word: str
    icon: str
    href: str
    is_current: bool
    key: str = ""
    count: int = 0
    """What needs attention; 0 is not shown."""


@dataclass(frozen=True, slots=True)
class RailLink:
    """A saved view in the navigation; `note` is its title. `count` is None if unknown."""

    word: str
    href: str
    is_current: bool
    note: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter: its URL, whether it is on, and its number of tasks (None: not counted)."""

    word: str
    href: str
    is_on: bool = False
    count: int | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class ChoiceGroup:
    """A filter with its values; `more` are collapsed. Names are cut in the middle, texts (`is_text`) at their end."""

    title: str
    choices: tuple[Choice, ...]
    more: tuple[Choice, ...] = ()
    is_mono: bool = False
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the status bar, linked to its rows; `state` sets its color."""

    label: str
    value: str
    href: str
    note: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Shell:
    """The data around every page of a signed-in person."""

    now: int
    theme: Theme
    path: str
    """Path and query of this page: a change of the theme returns to it."""
    user: str
    role: str
    rail: tuple[RailItem, ...]
    chips: tuple[ChoiceGroup, ...]
    strip: tuple[Number, ...]
    strip_href: str
    agents: str
    version: str
    notice: Notice | None
    zone: str = "UTC"
    """In which the times of the page are."""
    unread: int = 0
    """News that the person has not read."""
    views: tuple[RailLink, ...] = ()


@cache
def environment() -> Environment:
    """Returns the one Jinja environment. An unknown variable is an error, everything is escaped."""
    env = TemplateEnvironment(
        loader=FileSystemLoader(resources.templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=None if (compiled := resources.compiled_templates()) is None else CompiledTemplates(compiled),
    )
    env.filters.update(formats.FILTERS)
    env.filters.update(times.FILTERS)
    env.filters.update(charts.FILTERS)
    env.globals.update(asset=url, look=look, script_keys=script_keys(), **PARTS)
    return env


def to_html(template: str, page: Any, *, is_demo: bool = False) -> str:
    """Renders a template with its page. The frames of whole pages show whether they are those of a demo."""
    return environment().get_template(template).render(page=page, is_demo=is_demo)


def render(request: Request, template: str, page: Any, status: int = 200) -> Response:
    """Returns a whole page as a response; its notice is shown once."""
    response = respond(request, to_html(template, page, is_demo=is_of_demo(request)), status)
    if NOTICE_COOKIE in request.cookies and not is_refresh(request):
        response.delete_cookie(NOTICE_COOKIE, httponly=True, samesite="lax")
    return response


def is_of_demo(connection: HTTPConnection) -> bool:
    """Whether the server of a request runs a demo."""
    return connection.app.state.services.demo is not None


def respond(request: Request, html: str, status: int = 200) -> Response:
    """Returns HTML, compressed where the browser accepts it. The answer to a POST may contain a secret and is not compressed."""
    body, headers = html.encode(), {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if request.method == "GET" and len(body) > SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return HTMLResponse(body, status, headers)


def is_refresh(request: Request) -> bool:
    """Whether htmx requests a region of a page that is already open."""
    return "hx-request" in request.headers


def theme_of(request: HTTPConnection) -> Theme:
    """Returns the theme that the person chose, else that of the system."""
    chosen = request.cookies.get(THEME_COOKIE)
    return "light" if chosen == "light" else "dark" if chosen == "dark" else "system"


def see_other(path: str, notice: Notice | None = None) -> Response:
    """Returns the redirect after a POST, with an optional notice."""
    response = RedirectResponse(path, 303)
    if notice is not None:
        text = quote(json.dumps([notice.kind, notice.text, notice.href]))
        response.set_cookie(NOTICE_COOKIE, text, max_age=60, httponly=True, samesite="lax")
    return response


async def see_result(path: str, work: Callable[[], Awaitable[str]]) -> Response:
    """Redirects to a page with the notice that `work` returns, or with what it refused."""
    try:
        return see_other(path, Notice("good", await work()))
    except Z4jError as error:
        return see_other(path, Notice("bad", error.explanation))


def notice_of(request: Request) -> Notice | None:
    """Returns the notice of the last response, if any. It comes from a cookie, so it is checked like any input."""
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
    """Returns an error page: what happened, what was not affected, what to do. Requires neither the database nor a known person."""
    page = ErrorPage(theme_of(connection), title.capitalize(), status, message, hint, request_id)
    return HTMLResponse(to_html("error.html", page, is_demo=is_of_demo(connection)), status, headers={"Cache-Control": "no-store"})
