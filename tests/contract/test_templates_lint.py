# SPDX-License-Identifier: AGPL-3.0-or-later
"""Templates hold nothing a browser would evaluate or the content security policy would refuse, and stylesheets only tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SHEETS = sorted((ROOT / "static/css").glob("*.css"))
COLOUR = re.compile(
    r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|rgba|hsl|hsla|oklch|oklab|color-mix|light-dark)\(|(?<!-)\b(?:white|black|red|blue|green|gr[ae]y)\b(?!-)"
)

FORBIDDEN = {
    "inline style": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "style element": re.compile(r"<style\b", re.IGNORECASE),
    "inline script": re.compile(r"<script\b(?![^>]*\bsrc=)", re.IGNORECASE),
    "event attribute": re.compile(r"\son[a-z]+\s*=", re.IGNORECASE),
    "hx-on": re.compile(r"\bhx-on\b", re.IGNORECASE),
    "javascript": re.compile(r"\b(?:js|javascript):", re.IGNORECASE),
    "hx-vals, hx-headers or hx-vars": re.compile(r"\bhx-(?:vals|headers|vars)\b", re.IGNORECASE),
    "hx-csp": re.compile(r"\bhx-csp\b", re.IGNORECASE),
    "escaping switched off": re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE),
    "another host": re.compile(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//", re.IGNORECASE),
}


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_template_evaluates_nothing(file: Path) -> None:
    text = file.read_text()
    found = [(what, match[0]) for what, pattern in FORBIDDEN.items() if (match := pattern.search(text))]
    assert found == []
    for trigger in re.findall(r'hx-trigger="([^"]*)"', text):
        assert "[" not in trigger, f"a filter would be evaluated: {trigger}"
        assert "delay:" not in trigger, f"a delay starves under a steady stream: {trigger}"
        for one in trigger.split(","):
            assert "throttle:" in one or re.fullmatch(r" ?every [1-9]\ds", one), f"not throttled: {one}"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("inline style", '<p style="color: red">'),
        ("inline script", "<script>alert(1)</script>"),
        ("event attribute", '<a onclick="x()">'),
        ("hx-on", '<a hx-on:click="x()">'),
        ("javascript", '<a href="javascript:x()">'),
        ("escaping switched off", "{{ name | safe }}"),
        ("another host", '<script src="https://cdn.example/x.js">'),
    ],
)
def test_the_lint_finds_what_it_is_for(what: str, text: str) -> None:
    assert FORBIDDEN[what].search(text)


def test_configuration_of_htmx_is_real_json() -> None:
    text = (ROOT / "templates/base.html").read_text()
    found = re.search(r"name=\"htmx-config\" content='([^']*)'", text)
    assert found is not None
    config = json.loads(found[1])
    assert config["extensions"] == "sse"
    assert "open" in config["morphIgnore"]


@pytest.mark.parametrize("file", [sheet for sheet in SHEETS if sheet.name != "tokens.css"], ids=lambda file: file.name)
def test_colours_and_sizes_come_from_the_tokens(file: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
    for name, value in re.findall(r"([\w-]+)\s*:\s*([^;{}]+);", text):
        if name in ("color", "background", "border", "outline", "fill", "stroke", "box-shadow") or name.startswith(
            ("border-", "background-")
        ):
            assert not COLOUR.search(value), f"{name}: {value}"
        if name in ("font-size", "font-weight"):
            assert value.strip() == "inherit" or value.strip().startswith("var(--"), f"{name}: {value}"


def test_tokens_are_oklch_for_both_themes() -> None:
    text = (ROOT / "static/css/tokens.css").read_text()
    colours = re.findall(r"--[\w-]+: (light-dark\(.*\));", text)
    assert len(colours) >= 20
    assert all(re.fullmatch(r"light-dark\(oklch\([^()]+\), oklch\([^()]+\)\)", colour) for colour in colours)
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb|hsl", text)


def test_the_lock_file_names_no_host() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    for package in packages:
        assert "resolved" not in package
        assert package["integrity"].startswith("sha512-")
