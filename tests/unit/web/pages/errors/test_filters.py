# SPDX-License-Identifier: AGPL-3.0-or-later
"""Filters of the list of errors and their URLs."""

from __future__ import annotations

import pytest

from z4j.exceptions import BadInput
from z4j.web.pages.errors.filters import ErrorFilters, from_query


def test_a_query_becomes_filters_and_a_url_again() -> None:
    filters = from_query({"name": " mail.send ", "app": "shop", "odd": "x"}, ["resolved,ignored", "resolved"])
    assert filters == ErrorFilters(("resolved", "ignored"), name="mail.send", app="shop")
    assert filters.href() == "/errors?state=resolved,ignored&name=mail.send&app=shop"
    assert filters.but(state=(), name="").href(after="5-1") == "/errors?app=shop&after=5-1"
    assert ErrorFilters().href("/errors.csv") == "/errors.csv"
    assert filters.scope().href("/strip") == "/strip?app=shop"


def test_without_a_state_those_that_are_open_are_meant() -> None:
    assert ErrorFilters().for_store().states == ("unresolved", "regressed")
    assert ErrorFilters(("ignored",), assigned="ann").for_store().assigned == "ann"


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(BadInput, match="odd"):
        from_query({}, ["odd"])
