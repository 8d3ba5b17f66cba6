# SPDX-License-Identifier: AGPL-3.0-or-later
"""The smallest components of pages as cached functions: a list has a thousand of them, and most are equal.

`templates/macros/ui.html` passes them on beside its macros. `Markup.format` escapes what it puts in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup

from z4j.formats import duration, middle
from z4j.web.frame.icons import look
from z4j.web.frame.static import url

KEPT: Final = 2_000
"""Cached results of each function; the longest text in them is a task name."""
_NOTHING: Final = Markup('<span class="faint">–</span>')
_ICON: Final = Markup('<svg class="ic" aria-hidden="true"><use href="{}#{}"/></svg>')
_MARK: Final = Markup('<span class="st {}">{}<span class="word">{}</span></span>')
_REASON: Final = Markup(' <small class="mute">{}</small>')
_TAG: Final = Markup('<span class="tag{}">{}</span>')
_KEY: Final = Markup('<kbd class="key" aria-hidden="true">{}</kbd>')
_ABOUT: Final = Markup('<a class="about" href="/names/{0}" title="History of {1}" aria-label="History of {1}">{2}</a>')
_FIRE: Final = Markup('<rect class="{}" x="{}" width="7" y="{}" height="{}" rx="1"><title>{}</title></rect>')
_NAME: Final = Markup('<span title="{}">{}</span>')


@lru_cache(KEPT)
def icon(name: str) -> Markup:
    """An icon of static/icons.svg."""
    return _ICON.format(url("icons.svg"), name)


@lru_cache(KEPT)
def mark(state: str, reason: str = "", word: str = "") -> Markup:
    """A state: icon and word in its color, and the reason of the state."""
    found = look(state)
    made = _MARK.format(found.tone, icon(found.icon), word or found.word)
    return made + _REASON.format(reason.replace("_", " ")) if reason else made


@lru_cache(KEPT)
def tag(text: str, tone: str = "") -> Markup:
    """A tag."""
    return _TAG.format(f" tint {tone}" if tone else "", text)


@lru_cache(KEPT)
def key(text: str) -> Markup:
    """The key of a button."""
    return _KEY.format(text)


@lru_cache(KEPT)
def about(name: str) -> Markup:
    """A small link to the page of a task name; it is shown while its row is pointed at or has the focus."""
    return _ABOUT.format(quote(name), name, icon("now")) if name else Markup()


@lru_cache(KEPT)
def fire(state: str, x: int, height: int, label: str) -> Markup:
    """The bar of a due time in the strip of its schedule; `height` is 1 to 3."""
    return _FIRE.format(look(state).tone, x + 1, 24 - 8 * height, 8 * height, label)


def name(text: str, limit: int = 48) -> str:
    """A long name with its middle left out; the full name is in the title."""
    return _NAME.format(text, middle(text, limit)) if len(text) > limit else text


def span(us: int | None) -> str:
    """A duration in microseconds."""
    return _NOTHING if us is None else duration(us)


PARTS: Final[dict[str, Any]] = {f"{of.__name__}_part": of for of in (icon, mark, tag, key, about, fire, name, span)}
"""The functions by their names in templates."""
