# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from z4j.exceptions import BadInput
from z4j.rules.queries.parse import WrongQuery
from z4j.web.pages.tasks.filters import Filters, from_query, from_text

NOW = 1_795_410_901_204_512


def test_a_url_has_one_form() -> None:
    wanted = Filters(state=("failed", "lost"), queue="emails", engine="celery", since="1h")
    assert wanted.href() == "/tasks?state=failed,lost&queue=emails&engine=celery&since=1h"
    assert from_query({"queue": "emails", "engine": "celery", "since": "1h"}, ["failed", "lost,failed"]) == wanted
    assert Filters().href() == "/tasks"
    assert wanted.href("/tasks.json", older="5-6") == "/tasks.json?state=failed,lost&queue=emails&engine=celery&since=1h&older=5-6"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", Filters()),
        ("state:failed queue:emails since:1h", Filters(state=("failed",), queue="emails", since="1h")),
        ("state:failed state:lost", Filters(state=("failed", "lost"))),
        ("failed", Filters(state=("failed",))),
        ("shop.ship", Filters(name="shop.ship")),
        ("env:production worker:celery@host-2", Filters(environment="production", worker="celery@host-2")),
        ('queue:"two words"', Filters(queue="two words")),
        ("b5a1f3c2-0000-4000-8000-000000000001", Filters(task_id="b5a1f3c2-0000-4000-8000-000000000001")),
        ("id:order:7", Filters(task_id="order:7")),
        ('"odd:thing"', Filters(q='"odd:thing"')),
        ("plain -env:staging queue:a", Filters(queue="a", q="plain -env:staging")),
        ("queue:a,b since:1h", Filters(since="1h", q="queue:a,b")),
        ("name:emails.* order:ran", Filters(q="name:emails.* order:ran")),
        ("state:failed -state:lost", Filters(q="state:failed -state:lost")),
        ("args.user_id:42 error:ConnectionError ran:>2s attempt:>1", Filters(q="args.user_id:42 error:ConnectionError ran:>2s attempt:>1")),
    ],
)
def test_what_is_typed(typed: str, found: Filters) -> None:
    assert from_text(typed) == found
    assert from_text(found.text()) == found


def test_a_query_in_the_url_is_taken_apart() -> None:
    assert from_query({"q": "state:failed queue:emails ran:>2s"}, []) == Filters(("failed",), queue="emails", q="ran:>2s")
    assert from_query({"q": "ran:>2s", "queue": "emails"}, ["failed"]) == Filters(("failed",), queue="emails", q="ran:>2s")
    assert from_query({"q": "queue:b", "queue": "a"}, []) == Filters(q="queue:a,b")
    assert from_query({"q": "state:lost"}, ["failed"]) == Filters(("failed", "lost"))
    assert Filters(queue="emails", q='ran:>2s "two words"').href() == "/tasks?queue=emails&q=ran:%3E2s+%22two+words%22"
    with pytest.raises(WrongQuery, match="used twice"):
        from_query({"q": "since:2h", "since": "1h"}, [])


def test_nonsense_is_named() -> None:
    with pytest.raises(BadInput, match="Unknown state “sleepy”"):
        from_query({}, ["sleepy"])
    with pytest.raises(BadInput, match="“yesterday” is not a valid time"):
        Filters(since="yesterday").for_store(NOW)
    with pytest.raises(BadInput, match="is not a valid time"):
        Filters(until="0001-01-01T00:00:00+23:59x").for_store(NOW)


def test_for_the_store() -> None:
    found = Filters(state=("failed",), since="1h", until="2026-11-23T05:15:01Z", task_id="x").for_store(NOW)
    assert (found.states, found.since, found.until, found.task_id) == (("failed",), NOW - 3_600_000_000, 1_795_410_901_000_000, "x")


def test_scope_is_what_every_page_knows() -> None:
    assert Filters(state=("failed",), app="shop", environment="e", engine="celery", queue="q").scope() == Filters(
        app="shop", environment="e", engine="celery"
    )
