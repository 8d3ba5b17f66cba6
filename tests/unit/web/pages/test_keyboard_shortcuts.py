# SPDX-License-Identifier: AGPL-3.0-or-later
"""One list of keys: it has every key of the templates, and the templates have every key of the list."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop
from z4j.web.frame.keyboard_shortcuts import KEYS, script_keys
from z4j.web.frame.shell import RAIL
from z4j.web.pages.keyboard_shortcuts import groups
from z4j.web.pages.tasks.actions import KEYS as TASK_KEYS

ROOT = Path(__file__).parents[4]
TEXTS = "\n".join(path.read_text("utf-8") for path in (ROOT / "templates").rglob("*.html"))
OF_DRAWERS = re.findall(r"ui\.drawer\([^)]*, '(?:go|stop|quiet)?', '(.)'\)", TEXTS)
IN_TEMPLATES = set(re.findall(r'data-key="([^"{]+)"', TEXTS)) | set(OF_DRAWERS) | set(TASK_KEYS.values())


def test_every_key_of_a_page_is_in_the_list() -> None:
    assert "a" in OF_DRAWERS
    assert IN_TEMPLATES - {key.keys for key in KEYS} == set()


def test_every_key_of_the_list_does_something() -> None:
    assert {key.keys for key in KEYS if not key.act} - IN_TEMPLATES == set()
    script = (ROOT / "static/js/keys.js").read_text("utf-8")
    done = set(re.findall(r"^  (\w+)(?::|,$)", script[script.index("const DOES") :], re.MULTILINE)) | {"close", "open"}
    assert {key.act for key in KEYS if key.act} - done == set()


def test_no_key_has_two_rows_and_none_is_the_prefix_of_sections() -> None:
    keys = [key.keys for group in groups("admin") for key in group.keys]
    assert len(keys) == len(set(keys))
    assert "g" not in keys
    assert len({key for _, _, _, key, _ in RAIL}) == len(RAIL)
    assert "b" not in {key for _, _, _, key, _ in RAIL}, "g b opens the news"


def test_the_page_is_the_list_and_knows_the_sections_of_the_reader(shop: Shop) -> None:
    text = text_of(shop.get("/keys"))
    assert "Next row" in text
    assert "g s Settings" in text
    shop.become("vera")
    assert "g s Settings" not in text_of(shop.get("/keys"))
    assert script_keys() in shop.get("/tasks").text
