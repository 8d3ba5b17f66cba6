# SPDX-License-Identifier: AGPL-3.0-or-later
"""What templates put out is escaped, whatever its type."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup, escape

from z4j import resources
from z4j.web.frame.render import environment
from z4j.web.frame.templating.escaping import escaped

EVIL = "<script>alert(1)</script>\"'&"


class Shown:
    def __html__(self) -> str:
        return "<b>shown</b>"


class Named(str):
    """A text that is no `str` by its type."""


@pytest.mark.parametrize("value", [EVIL, "", Markup(EVIL), 1, 1.5, True, None, [EVIL], {"a": EVIL}, Shown(), Named(EVIL), Path(EVIL)])
def test_it_is_what_markupsafe_says(value: object) -> None:
    assert escaped(value) == str(escape(value))


def test_templates_escape_what_they_put_out() -> None:
    def shown(source: str) -> str:
        return environment().from_string(source).render(text=EVIL, items=[EVIL])

    safe = str(escape(EVIL))
    assert shown("{{ text }}") == safe
    assert shown("{{ items }}") == str(escape([EVIL]))
    assert shown("{{ text ~ text }}{{ items|join(',') }}") == safe * 3
    assert shown("{% macro a(t) %}<i>{{ t }}</i>{% endmacro %}{{ a(text) }}{{ a(a(text)) }}") == f"<i>{safe}</i><i><i>{safe}</i></i>"
    assert shown("{% set x %}{{ text }}{% endset %}{{ x }}{% filter upper %}{{ text }}{% endfilter %}") == safe + str(escape(EVIL)).upper()


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_no_template_uses_the_slow_way() -> None:
    """Their code escapes with `escaped`, and nowhere puts out anything as it is."""
    env = environment()
    for path in sorted(resources.templates().rglob("*.html")):
        source = path.read_text()
        code = env.compile(source, path.name, path.name, raw=True)
        assert " escape(" not in code.replace("from jinja2.runtime import", ""), path
        assert " str(" not in code, path
