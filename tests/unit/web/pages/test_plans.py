# SPDX-License-Identifier: AGPL-3.0-or-later
"""Many tasks at once through the pages: what is frozen, what is refused, and the account as a bar."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.site import hidden, text_of
from tests.support.stack import wait_for
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.rules.plans import UNDO_US
from z4j.store.operations import plans as stored
from z4j.store.operations.plans import PlanRow
from z4j.web.pages.plans import STATES, can, shares

ROW = PlanRow(7, "k" * 16, "cancel_task", {}, "", "", "", "running", "d", 1_000, {}, [], 0, "{}", "", "", 10**18, 10**18, None)
NONE = dict.fromkeys(STATES, 0)


def freeze(shop: Shop, **form: str) -> str:
    answer = shop.post("/plans", **({"state": "failed", "action": "retry_task"} | form))
    assert answer.status_code == 303
    return str(answer.headers["location"])


def account(shop: Shop, id: int = 1) -> dict[str, int]:
    return {word: items for word, items in shop.call(stored.account, shop.server.store, id).items() if items}


def status(shop: Shop, id: int = 1) -> str:
    found = shop.call(stored.get_plan, shop.server.store, id)
    assert isinstance(found, PlanRow)
    return found.status


def test_a_plan_is_frozen_looked_at_and_executed_with_the_hash_that_was_seen(shop: Shop) -> None:
    new = shop.get("/plans/new?state=failed")
    assert hidden(new, "state") == "failed"
    page = freeze(shop, reason=EVIL)
    shown = shop.get(page)
    assert EVIL in text_of(shown)
    assert EVIL not in shown.text
    assert (status(shop), account(shop), shop.frames) == ("frozen", {"waiting": 3}, [])
    shop.post(f"{page}/execute", digest="0" * 64, pace="all")
    assert (status(shop), shop.frames) == ("frozen", [])
    shop.post(f"{page}/execute", digest=hidden(shown, "digest"), pace="all")
    wait_for(lambda: shop.actions() == ["retry_task"] * 3, what="every task is handed over")
    assert [frame["params"]["task_id"] for frame in shop.frames] == ["f0", "f1", "f2"]
    shop.post(f"{page}/abort")
    assert status(shop) == "aborted"


def test_ticked_rows_are_the_plan(shop: Shop) -> None:
    assert hidden(shop.get("/plans/new?id=2&id=x&id=2&id=99999999999999999999"), "id") == "2"
    freeze(shop, state="", id="2")
    assert account(shop) == {"waiting": 1}


def test_a_plan_over_everything_and_one_of_an_unknown_action_are_refused(shop: Shop) -> None:
    assert shop.get("/plans/new").headers["location"] == "/tasks"
    assert freeze(shop, state="").startswith("/plans/new")
    assert freeze(shop, action="launch_rocket").startswith("/plans/new")
    assert freeze(shop, action="move_task", to="").startswith("/plans/new")
    assert shop.call(stored.list_plans, shop.server.store) == []
    assert shop.get("/plans").status_code == 200


def test_a_viewer_reads_plans_and_makes_none(shop: Shop) -> None:
    page = freeze(shop)
    shop.become("vera")
    assert shop.get("/plans").status_code == 200
    shown = shop.get(page)
    assert shown.status_code == 200
    assert 'name="digest"' not in shown.text
    assert shop.get("/plans/new?state=failed").status_code == 403
    for path in ("/plans", f"{page}/execute", f"{page}/abort", f"{page}/pause", f"{page}/resume", f"{page}/undo"):
        assert shop.post(path, action="retry_task", state="failed").status_code == 403, path
    assert status(shop) == "frozen"


def test_a_plan_that_does_not_exist_is_a_404_and_what_makes_no_sense_now_changes_nothing(shop: Shop) -> None:
    assert shop.get("/plans/99").status_code == 404
    page = freeze(shop)
    for word in ("pause", "resume", "undo"):
        assert shop.post(f"{page}/{word}").headers["location"] == page
    assert status(shop) == "frozen"
    assert shop.get(f"{page}?status=nonsense&after=x").status_code == 200


@pytest.mark.parametrize(
    "counts", [{"done": 1_000}, {"done": 1, "failed": 1, "waiting": 998}, {"done": 997, "refused": 1, "aborted": 2}, {}]
)
def test_every_part_of_the_account_is_seen_and_the_bar_is_never_too_long(counts: dict[str, int]) -> None:
    found = shares(ROW, NONE | counts)
    assert {of.word: of.items for of in found} == counts
    assert all(of.width >= 1 for of in found)
    assert sum(of.width for of in found) <= 1_000
    assert [of.x for of in found] == [sum(of.width for of in found[:place]) for place in range(len(found))]
    assert shares(dataclasses.replace(ROW, items=0), NONE) == ()


def test_what_can_be_done_depends_on_what_happened() -> None:
    done = NONE | {"done": 5}
    assert can(dataclasses.replace(ROW, status="frozen"), NONE, is_undone=False) == {"execute"}
    assert can(dataclasses.replace(ROW, status="frozen", items=0), NONE, is_undone=False) == frozenset()
    assert can(ROW, NONE, is_undone=False) == {"pause", "abort"}
    ended = dataclasses.replace(ROW, status="done")
    assert can(ended, done, is_undone=False) == {"undo"}
    assert can(ended, done, is_undone=True) == frozenset()
    assert can(ended, NONE, is_undone=False) == frozenset()
    assert can(dataclasses.replace(ended, action="retry_task"), done, is_undone=False) == frozenset()
    assert can(dataclasses.replace(ended, started_at=1 - UNDO_US), done, is_undone=False) == frozenset()
