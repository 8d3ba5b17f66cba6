# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bundled documents: as pages, as Markdown, and searchable. A document is rendered at its first request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from z4j import resources
from z4j.exceptions import NotFound
from z4j.rules.documents import Hit, Section, anchor_of, search, sections_of, source_of
from z4j.web.frame.render import Shell, render
from z4j.web.frame.shell import make_shell

GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Begin", ("start", "connect", "troubleshooting", "compare")),
    ("Use", ("operate", "search", "inside-a-task", "errors", "alerts", "schedules", "glossary")),
    ("Run", ("settings", "deploy", "metrics", "forwarding", "security", "audit", "redaction")),
    ("Understand", ("engines", "architecture", "protocol", "adapters", "benchmarks", "proof", "decisions")),
)
"""The order of the list; other documents are at the end."""
LONGEST: Final = 200
EXTERNAL: Final = ("https://", "http://", "mailto:")


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its title, as Markdown, and by its sections."""

    name: str
    title: str
    source: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class DocumentsPage:
    """The context of documents/page.html. `document` is None on the list, and `html` empty; `hits` are those of the search in `words`."""

    shell: Shell
    groups: tuple[tuple[str, tuple[Document, ...]], ...]
    document: Document | None
    html: Markup
    words: str
    hits: tuple[Hit, ...]
    titles: Mapping[str, str]


async def list_page(request: Request) -> Response:
    """GET /docs: all documents, or with `q` the sections that have every word."""
    return await _show(request, None)


async def page(request: Request) -> Response:
    """GET /docs/{name}."""
    return await _show(request, _document(request))


async def markdown(request: Request) -> Response:
    """GET /docs/{name}.md."""
    return PlainTextResponse(_document(request).source, media_type="text/markdown")


async def board(request: Request) -> Response:
    """GET /docs/grafana.json: the Grafana dashboard, as a file."""
    path = resources.grafana_board()
    if path is None or not path.is_file():
        raise NotFound("This installation does not include the Grafana dashboard.", "It is in docs/deploy of the source.")
    headers = {"content-disposition": 'attachment; filename="z4j-grafana.json"'}
    return Response(path.read_bytes(), media_type="application/json", headers=headers)


def _document(request: Request) -> Document:
    found = library().get(request.path_params["name"])
    if found is None:
        raise NotFound("Document not found.", "The list of documents is at /docs.")
    return found


async def _show(request: Request, document: Document | None) -> Response:
    known, words = library(), request.query_params.get("q", "")[:LONGEST]
    hits = search(words, (section for each in known.values() for section in each.sections))
    titles = {name: each.title for name, each in known.items()}
    html = html_of(document.name) if document is not None and not words else Markup()
    context = DocumentsPage(await make_shell(request, "docs"), _groups(known), document, html, words, tuple(hits), titles)
    return render(request, "documents/page.html", context)


def _groups(known: Mapping[str, Document]) -> tuple[tuple[str, tuple[Document, ...]], ...]:
    placed = {name for _, names in GROUPS for name in names}
    rest = tuple(each for name, each in known.items() if name not in placed)
    groups = [(title, tuple(known[name] for name in names if name in known)) for title, names in GROUPS]
    return tuple(group for group in (*groups, ("More", rest)) if group[1])


@cache
def library() -> dict[str, Document]:
    """Returns every document by its name. Find searches it with every key press, so nothing is rendered here."""
    return {name: _document_of(name, text) for name, text in resources.documents().items()}


def _document_of(name: str, text: str) -> Document:
    sections = tuple(sections_of(name, text))
    title = next((section.title for section in sections if section.anchor), name)
    return Document(name, title, source_of(text), sections)


@cache
def html_of(name: str) -> Markup:
    """Returns a document as HTML. Raises KeyError."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
    tokens = parser.parse(library()[name].source)
    taken: set[str] = set()
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = anchor_of(tokens[number + 1].content, taken)
        elif token.type in ("th_open", "td_open") and "style" in token.attrs:  # the CSP forbids inline styles
            is_right = "right" in str(token.attrs.pop("style"))
            token.attrs |= {"class": "n"} if is_right else {}
        elif token.type in ("fence", "code_block"):
            token.attrs["tabindex"] = "0"  # what is wider than the page can be scrolled by keys
        for child in token.children or ():
            _set_link(child)
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 -- of this program's own documents


def _set_link(token: Any) -> None:
    """Links between documents become links to their pages; links to source files are removed."""
    if token.type != "link_open":
        return
    href = str(token.attrs["href"])
    if href.startswith(EXTERNAL):
        token.attrs |= {"rel": "noopener noreferrer"}
        return
    path, mark, anchor = href.partition("#")
    if not path:
        return
    stem = PurePosixPath(path).stem.lower() if path.endswith(".md") else ""
    name = "deploy" if re.search(r"deploy/(README\.md)?$", path) else stem
    if name in resources.documents():
        token.attrs["href"] = f"/docs/{name}{mark}{anchor}"
    else:
        del token.attrs["href"]
