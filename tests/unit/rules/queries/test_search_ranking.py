# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a text finds, in which order."""

from __future__ import annotations

import pytest

from z4j.rules.queries.search_ranking import EXACT, PART, PER_KIND, PREFIX, WORD, Candidate, best, closest, rank_of


@pytest.mark.parametrize(
    ("query", "text", "rank"),
    [
        ("emails", "emails", EXACT),
        ("emails.s", "emails.send_campaign", PREFIX),
        ("send", "emails.send_campaign", WORD),
        ("camp", "emails.send_campaign", WORD),
        ("ampai", "emails.send_campaign", PART),
        ("mail send", "emails.send_campaign", PART),
        ("emails camp", "emails.send_campaign", WORD),
        ("ai", "mail air", WORD),  # the second place begins a word, the first does not
        ("nothing", "emails.send_campaign", None),
        ("emails nothing", "emails.send_campaign", None),
    ],
)
def test_a_text_fits_by_how_it_begins(query: str, text: str, rank: int | None) -> None:
    assert rank_of(query, text) == rank


def test_the_best_come_first_then_kinds_then_shorter_ones() -> None:
    candidates = [
        Candidate("queue", "my-emails", "/a"),
        Candidate("name", "emails.send", "/b"),
        Candidate("queue", "emails", "/c"),
        Candidate("name", "emails", "/d"),
        Candidate("page", "Users", "/e", words="emails and people"),
    ]
    assert [found.candidate.href for found in best("Emails", candidates)] == ["/d", "/c", "/b", "/a", "/e"]


def test_the_closest_of_a_long_list_are_those_that_rank_best() -> None:
    entries = [(text.lower(), text) for text in ("my-emails", "Emails", "emails.send", "other", "emails.x")]
    assert closest("emails", entries, 3) == ["Emails", "emails.x", "emails.send"]
    assert closest("send emails", entries) == ["emails.send"]
    assert closest("e s x", entries) == ["emails.x"]
    assert closest("nothing", entries) == []


def test_one_kind_does_not_hide_the_others() -> None:
    many = [Candidate("name", f"emails.{number}", f"/{number}") for number in range(50)]
    found = best("emails", [*many, Candidate("error", "no emails", "/error")])
    assert len(found) == PER_KIND + 1
    assert found[-1].candidate.kind == "error"
    assert len(best("emails", [*many, *[each._replace(kind="queue") for each in many]], most=5)) == 5
