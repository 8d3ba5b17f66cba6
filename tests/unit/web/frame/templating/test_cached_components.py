# SPDX-License-Identifier: AGPL-3.0-or-later
"""The smallest components: what they show, and that they escape what they are given."""

from __future__ import annotations

import pytest

from z4j.web.frame.render import environment
from z4j.web.frame.static import url
from z4j.web.frame.templating import cached_components

EVIL = "<script>alert(1)</script>\"'"


def test_icon_and_mark() -> None:
    icon = f'<svg class="ic" aria-hidden="true"><use href="{url("icons.svg")}#failed"/></svg>'
    assert cached_components.icon("failed") == icon
    assert cached_components.mark("failed") == f'<span class="st s-failed">{icon}<span class="word">failed</span></span>'
    assert cached_components.mark("failed", "time_limit", "over").endswith(
        '<span class="word">over</span></span> <small class="mute">time limit</small>'
    )


def test_tag_key_and_about() -> None:
    assert cached_components.tag("celery") == '<span class="tag">celery</span>'
    assert cached_components.tag("late", "s-late") == '<span class="tag tint s-late">late</span>'
    assert cached_components.key("b") == '<kbd class="key" aria-hidden="true">b</kbd>'
    assert cached_components.about("") == ""
    assert cached_components.about("shop.a b/c").startswith('<a class="about" href="/names/shop.a%20b/c" title="History of shop.a b/c"')


def test_name_and_span() -> None:
    assert cached_components.name("orders", 18) == "orders"
    assert cached_components.name("a" * 30, 9) == f'<span title="{"a" * 30}">aaaa…aaaa</span>'
    assert cached_components.span(None) == '<span class="faint">–</span>'
    assert cached_components.span(12_000) == "12\u202fms"


@pytest.mark.parametrize("part", ["icon", "mark", "tag", "key", "about"])
def test_texts_are_escaped(part: str) -> None:
    made = getattr(cached_components, part)(EVIL)
    assert "<script" not in made
    assert "\"'" not in made
    assert "<script" not in cached_components.mark("failed", EVIL, EVIL) + cached_components.tag("x", EVIL) + cached_components.name(
        EVIL, 9
    )


def test_templates_use_them_as_macros() -> None:
    made = environment().from_string("{% import 'macros/ui.html' as ui %}{{ ui.tag(text) }}{{ ui.name(text, 9) }}").render(text=EVIL)
    assert made == f"{cached_components.tag(EVIL)}{cached_components.name(EVIL, 9)}"
    assert "<b>" not in environment().from_string("{% import 'macros/ui.html' as ui %}{{ ui.name('<b>') }}").render()
