# SPDX-License-Identifier: AGPL-3.0-or-later
"""The smallest components: what they show, and that they escape what they are given."""

from __future__ import annotations

import pytest

from z4j.web.frame.render import environment
from z4j.web.frame.static import url
from z4j.web.frame.templating import small_parts

EVIL = "<script>alert(1)</script>\"'"


def test_icon_and_mark() -> None:
    icon = f'<svg class="ic" aria-hidden="true"><use href="{url("icons.svg")}#failed"/></svg>'
    assert small_parts.icon("failed") == icon
    assert small_parts.mark("failed") == f'<span class="st s-failed">{icon}<span class="word">failed</span></span>'
    assert small_parts.mark("failed", "time_limit", "over").endswith(
        '<span class="word">over</span></span> <small class="mute">time limit</small>'
    )


def test_tag_key_and_about() -> None:
    assert small_parts.tag("celery") == '<span class="tag">celery</span>'
    assert small_parts.tag("late", "s-late") == '<span class="tag tint s-late">late</span>'
    assert small_parts.key("b") == '<kbd class="key" aria-hidden="true">b</kbd>'
    assert small_parts.about("") == ""
    assert small_parts.about("shop.a b/c").startswith('<a class="about" href="/names/shop.a%20b/c" title="History of shop.a b/c"')


def test_name_and_span() -> None:
    assert small_parts.name("orders", 18) == "orders"
    assert small_parts.name("a" * 30, 9) == f'<span title="{"a" * 30}">aaaa…aaaa</span>'
    assert small_parts.span(None) == '<span class="faint">–</span>'
    assert small_parts.span(12_000) == "12\u202fms"


@pytest.mark.parametrize("part", ["icon", "mark", "tag", "key", "about"])
def test_texts_are_escaped(part: str) -> None:
    made = getattr(small_parts, part)(EVIL)
    assert "<script" not in made
    assert "\"'" not in made
    assert "<script" not in small_parts.mark("failed", EVIL, EVIL) + small_parts.tag("x", EVIL) + small_parts.name(EVIL, 9)


def test_templates_use_them_as_macros() -> None:
    made = environment().from_string("{% import 'macros/ui.html' as ui %}{{ ui.tag(text) }}{{ ui.name(text, 9) }}").render(text=EVIL)
    assert made == f"{small_parts.tag(EVIL)}{small_parts.name(EVIL, 9)}"
    assert "<b>" not in environment().from_string("{% import 'macros/ui.html' as ui %}{{ ui.name('<b>') }}").render()
