# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compiled templates are used as they are, and never for another source or by another version."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment, TemplateSyntaxError

from z4j.web.frame.templating.compiled_templates import CompiledTemplates, compile_all

SOURCES = {
    "page.html": "{% import 'macros/ui.html' as ui %}{{ ui.mark(name) }}",
    "macros/ui.html": "{% macro mark(n) %}<b>{{ n }}</b>{% endmacro %}",
}


def made(sources: dict[str, str], folder: Path | None = None) -> Environment:
    return Environment(loader=DictLoader(sources), autoescape=True, bytecode_cache=None if folder is None else CompiledTemplates(folder))


class CannotCompile(Environment):
    """Fails where a template is compiled."""

    def compile(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise AssertionError("compiled while the server runs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert compile_all(made(SOURCES), tmp_path / "compiled") == len(SOURCES)
    return tmp_path / "compiled"


def test_a_template_is_not_compiled_again(folder: Path) -> None:
    environment = CannotCompile(loader=DictLoader(SOURCES), autoescape=True, bytecode_cache=CompiledTemplates(folder))
    assert environment.get_template("page.html").render(name="<a>") == "<b>&lt;a&gt;</b>"


def test_another_source_or_an_unknown_file_is_compiled(folder: Path) -> None:
    changed = SOURCES | {"page.html": "now {{ name }}", "new.html": "new"}
    environment = made(changed, folder)
    assert environment.get_template("page.html").render(name="x") == "now x"
    assert environment.get_template("new.html").render() == "new"
    for file in folder.iterdir():
        file.write_bytes(b"j2 of another version")
    assert made(SOURCES, folder).get_template("page.html").render(name="x") == "<b>x</b>"


def test_a_server_writes_nothing(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    made({"new.html": "new"}, folder).get_template("new.html")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_wrong_template_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_all(made({"wrong.html": "{% if %}"}), tmp_path / "compiled")
