# SPDX-License-Identifier: AGPL-3.0-or-later
"""The index of words follows the tasks: new ones, changed ones, those from before there was an index; and goes with its day."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import SECOND, T, database, life, task, tell
from z4j import clock
from z4j.background.word_index import CHUNK, SETTLE_US, THIN_US, WordIndexDuty
from z4j.clock import DAY_US
from z4j.rules.queries.parse import parse
from z4j.store.search import word_index, word_search
from z4j.store.sqlite.db import Store
from z4j.store.tasks import bulk_deletion, task_search
from z4j.store.tasks.tasks import TaskFilter, list_tasks

pytestmark = pytest.mark.anyio
NOW = T + 3 * DAY_US


async def tell_all(store: Store, *records: list[Any]) -> None:
    await tell(store, *records, at=NOW)


async def found(store: Store, text: str) -> list[str]:
    query = parse(text)
    return [row.task_id for row in (await list_tasks(store, TaskFilter(terms=query.terms, order=query.order))).rows]


@pytest.fixture(autouse=True)
def shift(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How far the clock is ahead, microseconds. Walks are not stopped, however busy the machine is."""
    monkeypatch.setattr(task_search, "WALK_US", 60_000_000)
    ahead = [0]
    monkeypatch.setattr(clock, "ticks", lambda: time.monotonic_ns() // 1000 + ahead[0])
    return ahead


async def settle(duty: WordIndexDuty, shift: list[int], at: int = NOW) -> None:
    """Two rounds, more than a second apart."""
    shift[0] += SETTLE_US + 1
    await duty.round(at)
    shift[0] += SETTLE_US + 1
    await duty.round(at)


async def test_names_arguments_results_and_exceptions_are_found(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell_all(store, *life("a", T, name="shop.ship"), *life("b", T + SECOND, "failed", name="mail.send_receipt"))
        assert await found(store, '"value error"') == []
        await settle(duty, shift)
        assert await found(store, "ship") == ["a"]
        assert await found(store, "receipt") == ["b"]
        assert await found(store, '"send receipt"') == await found(store, "rec*") == ["b"]
        assert await found(store, '"receipt send"') == []
        assert await found(store, "valueerror bad") == ["b"]
        assert await found(store, "ok") == ["a"]
        assert await found(store, "ok -ship") == []
        assert await found(store, "-ship") == ["b"]
        assert (duty.report.lag_us, duty.report.waiting) == (0, 0)


async def test_arguments_are_found_by_their_paths(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        for number, args in enumerate(
            ('[42, {"id": "x-1"}] {"user_id": 7}', '{"user_id": 42, "tags": ["a", "b"], "flag": true}', '{"user_id": "•••"}')
        ):
            await tell_all(store, task("payload", f"t{number}", T + number * SECOND, 1, args, "•" in args, None, "none"))
        await settle(duty, shift)
        assert await found(store, "args.user_id:42") == ["t1"]
        assert await found(store, "args.user_id:42,7") == ["t1", "t0"]
        assert await found(store, "args.0:42") == ["t0"]
        assert await found(store, "args.1.id:x-1") == ["t0"]
        assert await found(store, "args.tags:b args.flag:true") == ["t1"]
        assert await found(store, "args.user_id:4*") == ["t1"]
        assert await found(store, "args.user_id:4") == []
        assert await found(store, 'args.user_id:"•••"') == []
        assert await found(store, "-args.user_id:42") == ["t2", "t0"]


async def test_what_a_task_gets_later_is_found_too(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        begun, ended = life("a", T, "failed")[:2], life("a", T, "failed")[2:]
        await tell_all(store, *begun)
        await settle(duty, shift)
        assert await found(store, "ship") == ["a"]
        await tell_all(store, *ended)
        assert await found(store, "valueerror") == []
        await settle(duty, shift)
        assert await found(store, "valueerror ship") == ["a"]
        assert await store.fetch_all("SELECT * FROM search_change") == []


async def test_a_change_between_reading_and_writing_is_not_lost(tmp_path: Path, shift: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell_all(store, *life("a", T, "failed")[:2])
        read = word_index.list_new

        async def read_then_change(*args: int | Store) -> tuple[list[word_index.Entry], int]:
            answer = await read(*args)  # type: ignore[arg-type]
            await tell_all(store, *life("a", T, "failed")[2:])
            return answer

        monkeypatch.setattr(word_index, "list_new", read_then_change)
        await settle(duty, shift)
        monkeypatch.setattr(word_index, "list_new", read)
        await settle(duty, shift)
        assert await found(store, "valueerror") == ["a"]


async def test_tasks_that_end_within_the_second_are_indexed_once(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await settle(duty, shift)
        await store.write(lambda db: word_index.claim(db, 0))
        for record in life("a", T):
            await tell_all(store, record)
        assert await store.fetch_all("SELECT * FROM search_change") == []
        await settle(duty, shift)
        assert duty.report.indexed == 1


async def test_tasks_from_before_there_was_an_index(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        count = CHUNK + 5
        await tell_all(store, *(task("enqueued", f"t{number}", T + number, name=f"old.task{number}") for number in range(count)))
        await store.write(
            lambda db: db.executemany("UPDATE search_position SET task = ? WHERE key = ?", [(count, "to"), (count + 1, "from")])
        )
        await settle(WordIndexDuty(store), shift)
        assert await found(store, "task0") == ["t0"]
        assert await found(store, f"task{count - 1}") == [f"t{count - 1}"]
        assert (await word_index.positions(store)).back == 0
        page = await list_tasks(store, TaskFilter(terms=parse("old").terms), limit=20)
        assert [row.task_id for row in page.rows] == [f"t{number}" for number in range(count - 1, count - 21, -1)]


async def test_days_are_walked_newest_first_and_both_ways(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        for day in range(3):
            for number in range(4):
                await tell_all(store, task("enqueued", f"d{day}n{number}", T + day * DAY_US + number * SECOND, queue=f"q{number % 2}"))
        await settle(WordIndexDuty(store), shift)
        assert await store.fetch_all("SELECT count(*) FROM search_table") == [(3,)]
        wanted = TaskFilter(terms=parse("ship").terms)
        seen: list[str] = []
        older: str | None = None
        while True:
            page = await list_tasks(store, wanted, older=older, limit=5)
            seen += [row.task_id for row in page.rows]
            if page.older is None:
                break
            older = page.older
        assert seen == [f"d{day}n{number}" for day in (2, 1, 0) for number in (3, 2, 1, 0)]
        back = await list_tasks(store, wanted, newer=older, limit=5)
        assert [row.task_id for row in back.rows] == seen[4:9]
        assert await found(store, "ship queue:q1") == [id for id in seen if id[-1] in "13"]
        since = TaskFilter(terms=parse("ship").terms, since=T + DAY_US + 2 * SECOND, until=T + 2 * DAY_US + SECOND)
        assert [row.task_id for row in (await list_tasks(store, since)).rows] == ["d2n0", "d1n3", "d1n2"]


async def test_words_that_begin_with_a_text_may_be_too_many_to_look_up(
    tmp_path: Path, shift: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database(tmp_path) as store:
        for day in range(2):
            await tell_all(store, *(task("enqueued", f"d{day}n{n}", T + day * DAY_US + n * SECOND, name=f"word{n}x.y") for n in range(9)))
        await settle(WordIndexDuty(store), shift)
        ids = [f"d{day}n{n}" for day in (1, 0) for n in range(8, -1, -1)]
        assert await found(store, "word*") == ids
        with monkeypatch.context() as patch:
            patch.setattr(word_search, "MAX_EXPANDED", 3)
            assert await found(store, "word*") == ids
            assert await found(store, "word*  -word3x") == [id for id in ids if id[-1] != "3"]
            first = await list_tasks(store, TaskFilter(terms=parse("word*").terms), limit=4)
            second = await list_tasks(store, TaskFilter(terms=parse("word*").terms), limit=10, older=first.older)
            assert [row.task_id for row in second.rows] == ids[4:14]
            back = await list_tasks(store, TaskFilter(terms=parse("word*").terms), limit=4, newer=second.newer)
            assert [row.task_id for row in back.rows] == ids[:4]
        assert await found(store, "wor* neverthere*") == []


async def test_a_day_goes_with_its_last_task(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell_all(store, *life("old", T), *life("new", T + DAY_US))
        await settle(duty, shift)
        old = (await store.fetch_all("SELECT id FROM task WHERE first_at = ?1", {"1": T}))[0][0]
        await store.write(lambda db: bulk_deletion.delete_tasks(db, [old]))
        assert await found(store, "ship") == ["new"], "early deletions are filtered"
        await settle(duty, shift, NOW + DAY_US)
        assert await store.fetch_all("SELECT day FROM search_table") == [((T + DAY_US) // DAY_US,)]
        assert not await store.fetch_all(f"SELECT name FROM sqlite_schema WHERE name GLOB 'search_{T // DAY_US}*'")
        assert await found(store, "ship") == ["new"]


async def test_a_day_with_few_tasks_left_is_indexed_again(tmp_path: Path, shift: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_index, "THIN_LEAST", 8)
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        await tell_all(store, *(task("enqueued", f"t{n}", T + n * SECOND, name=f"n{n}.x") for n in range(9)))
        await settle(duty, shift)
        await store.write(lambda db: bulk_deletion.delete_tasks(db, list(range(1, 8))))
        day = T // DAY_US
        assert await store.fetch_all("SELECT tasks FROM search_table") == [(9,)]
        words = f"SELECT count(*) FROM search_{day}_words"
        before = (await store.fetch_all(words))[0][0]
        await settle(duty, shift, NOW + 2 * THIN_US)
        await settle(duty, shift, NOW + 2 * THIN_US + 1)
        assert (await store.fetch_all(words))[0][0] < before
        assert await found(store, "x") == ["t8", "t7"]
        assert await found(store, "n8") == ["t8"]


async def test_tasks_of_long_ago_make_no_tables(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        await tell_all(store, *life("a", T - 500 * DAY_US), *life("b", T))
        await settle(WordIndexDuty(store), shift)
        assert await store.fetch_all("SELECT count(*) FROM search_table") == [(1,)]


def entries_of(count: int, words: int, first: int = 1) -> list[word_index.Entry]:
    """Tasks of one day with so many words each, of which every second one is in no other task."""
    return [
        word_index.Entry(id, T // DAY_US, " ".join(f"w{number % 97 if number % 2 else id * words + number}" for number in range(words)))
        for id in range(first, first + count)
    ]


async def segments(store: Store) -> int:
    return int((await store.fetch_all(f"SELECT count(DISTINCT segid) FROM search_{T // DAY_US}_idx"))[0][0])


async def test_segments_are_merged_in_short_steps_and_never_while_words_are_added(tmp_path: Path) -> None:
    """A statement that adds words must not merge: FTS5 would merge hundreds of pages within it, and ingest would wait."""
    day, count = T // DAY_US, 30 * word_index.ADDED
    async with database(tmp_path) as store:
        entries = entries_of(count, 20)
        assert await store.write(lambda db: word_index.add(db, entries, 60, None)) == count
        assert await segments(store) == 30
        assert not await store.write(lambda db: word_index.merge(db, day, 0)), "one step is not all"
        steps = 1
        while not await store.write(lambda db: word_index.merge(db, day, 0)):
            steps += 1
        assert steps > 3
        assert await segments(store) < word_index.OPTIONS["usermerge"]
        assert await store.write(lambda db: word_index.merge(db, day, 0)), "nothing is left"
        found = await store.fetch_all(f"SELECT count(*) FROM search_{day} WHERE search_{day} MATCH 'w1'")
        assert found == [(count,)]


async def test_the_duty_merges_what_it_adds(tmp_path: Path, shift: list[int]) -> None:
    async with database(tmp_path) as store:
        duty = WordIndexDuty(store)
        for first in range(20):
            await tell_all(store, *(task("enqueued", f"t{first}-{n}", T + n, name=f"n{first}.x") for n in range(2)))
            await settle(duty, shift)
        assert await segments(store) < 2 * word_index.OPTIONS["usermerge"]
        assert len(await found(store, "x")) == 40


async def test_a_table_of_an_earlier_release_gets_the_options(tmp_path: Path) -> None:
    day = T // DAY_US
    async with database(tmp_path) as store:
        await store.write(lambda db: word_index.add(db, entries_of(1, 3), 60, None))
        await store.write(lambda db: db.execute(f"INSERT INTO search_{day} (search_{day}, rank) VALUES ('automerge', 8)").rowcount)
    store = Store(tmp_path / "z4j.db")
    await store.start()
    try:
        await store.write(lambda db: word_index.add(db, entries_of(1, 3, first=2), 60, None))
        options: dict[str, int] = dict(await store.fetch_all(f"SELECT k, v FROM search_{day}_config"))
    finally:
        await store.close()
    assert word_index.OPTIONS.items() <= options.items()


async def test_tasks_with_very_many_words_are_added_few_at_a_time(tmp_path: Path) -> None:
    """Else one statement would hold the writer for 250 times 400 words."""
    async with database(tmp_path) as store:
        entries = entries_of(word_index.ADDED, 200)
        assert sum(len(entry.words) for entry in entries) > word_index.ADDED_CHARACTERS
        assert await store.write(lambda db: word_index.add(db, entries, 0, None)) < word_index.ADDED
        left = entries_of(word_index.ADDED, 2)
        assert await store.write(lambda db: word_index.add(db, left, 0, None)) == word_index.ADDED
