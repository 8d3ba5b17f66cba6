# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ledger on the page of a queue: each number leads to exactly its tasks, and what is not known is said to be unknown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

from tests.support.database import SECOND, T, life, origin, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import Shop
from z4j import clock
from z4j.rules.rollups import HOUR_US, MINUTE_US
from z4j.store.fleet import queues
from z4j.store.sqlite.db import Connection

HOUR = T // HOUR_US * HOUR_US
AT = HOUR + 2 * HOUR_US + 50 * MINUTE_US
PAGE = "/queues/box?app=shop&environment=production&engine=celery"
COLUMNS = ("enqueued", "ended", "waiting", "running", "unaccounted", "not monitored")


@pytest.fixture(autouse=True)
def _at(empty: Shop) -> Iterator[None]:
    clock.use(lambda: AT * 1_000)
    first, second = HOUR + 5 * MINUTE_US, HOUR + HOUR_US + 5 * MINUTE_US
    queued = [task("enqueued", f"old{n}", first + n * SECOND, queue="box") for n in range(3)]
    queued += [task("enqueued", f"new{n}", second + n * SECOND, queue="box") for n in range(4)]
    running = [task("enqueued", "r", second, queue="box"), task("started", "r", second + SECOND, queue="box")]
    empty.tell(
        origin("n"), *life("a", first, queue="box"), *life("b", first, "failed", queue="box"), *queued, *running,
        *life("strange", second, queue="box")[1:],
    )  # fmt: skip
    yield
    clock.use()


def report(shop: Shop, depth: int) -> None:
    environment = shop.call(_environment, shop)

    def record(db: Connection) -> None:
        for ago in range(16, -1, -1):
            seen = [("celery", "box", "", depth, 2, None, None, None)]
            queues.record(db, 1, environment, seen, AT - ago * MINUTE_US - SECOND)

    shop.write(record)
    shop.call(shop.server.findings.look, AT)


async def _environment(shop: Shop) -> int:
    row = await shop.server.store.fetch_one("SELECT id FROM name WHERE kind = 'environment' AND text = 'production'")
    assert row is not None
    return int(row[0])


def cells(page: str) -> list[dict[str, tuple[str, str]]]:
    """Of each line of the ledger its numbers by column, each with its link."""
    ledger = page[page.index('id="ledger"') :]
    ledger = ledger[: ledger.index("</section>")]
    lines = []
    for row in re.findall(r"<tr><td class=\"full\">.*?</tr>", ledger, re.S):
        found = re.findall(r'data-label="([a-z ]+)">(.*?)</td>', row, re.S)
        lines.append(
            {
                label: (
                    re.sub(r"<[^>]*>", "", cell).strip(),
                    html.unescape(href[1]) if (href := re.search(r'href="([^"]+)"', cell)) else "",
                )
                for label, cell in found
            }
        )
    return lines


def test_each_number_leads_to_exactly_its_tasks(empty: Shop) -> None:
    report(empty, 2)
    page = empty.get(PAGE).text
    newest, oldest = cells(page)
    assert [newest[column][0] for column in COLUMNS] == ["5", "0", "2", "1", "2", "1"]
    assert [oldest[column][0] for column in COLUMNS] == ["5", "2", "0", "0", "3", "0"]
    for line in (newest, oldest):
        for column in COLUMNS:
            count, href = line[column]
            if count == "0":
                assert not href
                continue
            assert href, (column, line)
            found = empty.get(href.replace("/tasks?", "/tasks.json?")).json()["tasks"]
            assert len(found) == int(count), (column, href, found)
    assert {each["task_id"] for each in empty.get(newest["unaccounted"][1].replace("/tasks?", "/tasks.json?")).json()["tasks"]} == {
        "new0", "new1"
    }  # fmt: skip
    text = re.sub(r"\s+", " ", text_of(empty.get(PAGE)))
    assert "5 tasks unaccounted for , at least" in text or "5 tasks unaccounted for, at least" in text
    assert "were not reported by a producer" in text
    plain = empty.get(PAGE.replace("/queues/box?", "/history/queue.json?queue=box&")).json()
    assert [(each["enqueued"], each["unaccounted"]) for each in plain["ledger"]] == [(5, 3), (5, 2)]
    assert plain["unaccounted"] == 5


def test_a_ledger_that_balances(empty: Shop) -> None:
    report(empty, 7)
    page = empty.get(PAGE)
    assert "No unaccounted tasks: every queued task is in the broker" in text_of(page)
    newest, _ = cells(page.text)
    assert [newest[column][0] for column in COLUMNS] == ["5", "0", "4", "1", "0", "1"]
    assert len(empty.get(newest["waiting"][1].replace("/tasks?", "/tasks.json?")).json()["tasks"]) == 4


def test_what_no_agent_reports_is_not_known(empty: Shop) -> None:
    empty.call(empty.server.findings.look, AT)
    page = empty.get(PAGE)
    assert "so it is unknown whether a queued task is still there" in text_of(page)
    assert [line["unaccounted"][0] for line in cells(page.text)] == ["?", "?"]
    report(empty, 0)
    empty.call(empty.server.findings.look, AT + 5 * MINUTE_US)
    assert "not reported often enough" in text_of(empty.get(PAGE))


def test_hours_of_which_nothing_is_queued_balance_without_a_report(empty: Shop) -> None:
    empty.tell(origin("n"), *life("alone", HOUR + 5 * MINUTE_US, queue="calm"))
    empty.call(empty.server.findings.look, AT)
    page = empty.get(PAGE.replace("/box?", "/calm?"))
    [line] = cells(page.text)
    assert (line["enqueued"][0], line["unaccounted"][0]) == ("1", "0")
    assert "so it is unknown" not in text_of(page)
