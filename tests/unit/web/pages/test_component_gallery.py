# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sample page shows every state in both themes, and no data of anybody."""

from __future__ import annotations

from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.web.frame.icons import LOOKS
from z4j.web.pages.chart_gallery import HEBREW, LONG


def test_every_state_is_shown_in_both_themes(shop: Shop) -> None:
    page = shop.get("/patterns")
    assert page.status_code == 200
    for theme in ("light", "dark"):
        _, found, sample = page.text.partition(f'<section class="sample" data-theme="{theme}"')
        assert found
        sample = sample.partition('<section class="sample"')[0]
        for state, look in LOOKS.items():
            assert f'<span class="st {look.tone}">' in sample, (theme, state)
            assert f'<span class="word">{look.word}</span>' in sample, (theme, state)
        assert HEBREW in sample
        assert LONG[:20] in sample


def test_it_holds_nothing_of_the_database(shop: Shop) -> None:
    page = shop.get("/patterns").text
    assert "shop.ship" not in page.partition("<main")[2]
    assert EVIL not in page


def test_whoever_is_signed_in_may_see_it(shop: Shop) -> None:
    shop.become("vera")
    assert shop.get("/patterns").status_code == 200
    shop.forget()
    assert shop.get("/patterns").status_code in (303, 401)
