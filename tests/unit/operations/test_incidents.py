# SPDX-License-Identifier: AGPL-3.0-or-later
"""An incident gathers what happened between its beginning and its end, and then stays as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.database import SECOND, database, life, origin, tell
from tests.unit.operations.alerts.examples import ANN, OLGA, VERA
from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.live import Live
from z4j.operations.incidents import OLDEST_US, Incidents
from z4j.rules.findings.finding import Finding, Scope
from z4j.store.access.audit import AuditLog
from z4j.store.findings import findings
from z4j.store.incidents import incidents as store_incidents
from z4j.store.incidents.incidents import NOTES
from z4j.store.sqlite.db import Store

pytestmark = pytest.mark.anyio
MINUTE = 60 * SECOND


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[tuple[Store, Incidents]]:
    async with database(folder) as store:
        log = AuditLog(folder)
        await log.start(store, clock.now())
        yield store, Incidents(store, Live(), log, folder)
        await log.close(store, clock.now())


async def something_happens(store: Store, at: int) -> None:
    failed = [record for n in range(4) for record in life(f"f{n}", at + n * SECOND, "failed", run="w.7")]
    good = [record for n in range(6) for record in life(f"g{n}", at + n * SECOND, run="w.7")]
    await tell(store, origin("w", at=at + SECOND, release="2.0"), *failed, *good, at=at + MINUTE)
    finding = Finding("error", "1", "bad", 5, "Mails fail", "4 of 10", "", Scope("shop", "production", "celery"), at + 30 * SECOND)
    other = Finding("error", "2", "bad", 5, "Elsewhere", "1 of 1", "", Scope("blog", "production", "rq"), at + 30 * SECOND)
    await store.write(partial(findings.save, begun=[finding, other], worse=[], ended=[], at=at + 30 * SECOND))


async def test_a_record_has_what_happened_in_its_app(tmp_path: Path) -> None:
    async with service(tmp_path) as (store, made):
        began = clock.now() - 10 * MINUTE
        id = await made.start(OLGA, title="  Mails\n fail ", app="shop", began_at=began)
        await something_happens(store, began + MINUTE)
        await made.note(OLGA, id, "restarted the relay; password=hunter22-canary")
        record = await made.record_of(id)
        assert (record.title, record.started_by, record.ended_at) == ("Mails fail", "olga", None)
        assert [event.kind for event in record.events] == ["began", "release", "error", "finding", "note"]
        texts = " ".join(event.text for event in record.events)
        assert "2.0 (shop production)" in texts
        assert "Elsewhere" not in texts
        assert "hunter22-canary" not in texts
        assert [(error.title, error.failed, error.is_new) for error in record.errors] == [("ValueError: bad", 4, True)]
        assert (sum(record.curve.finished), sum(record.curve.failed)) == (6, 4)


async def test_its_end_keeps_it_as_it_was(tmp_path: Path) -> None:
    async with service(tmp_path) as (store, made):
        began = clock.now() - 10 * MINUTE
        id = await made.start(OLGA, title="", app="shop", began_at=began)
        await something_happens(store, began + MINUTE)
        await made.rename(OLGA, id, "Relay down")
        await made.end(ANN, id)
        kept = await made.record_of(id)
        assert (kept.title, kept.ended_by, kept.events[-1].kind) == ("Relay down", "ann", "ended")
        await store.write(lambda db: db.execute("DELETE FROM finding").rowcount)
        assert await made.record_of(id) == kept
        for action in (made.end(ANN, id), made.note(OLGA, id, "late"), made.rename(OLGA, id, "x")):
            with pytest.raises(WrongState):
                await action
        await made.delete(OLGA, id)
        with pytest.raises(NotFound):
            await made.record_of(id)


async def test_roles_and_wrong_input(tmp_path: Path) -> None:
    async with service(tmp_path) as (store, made):
        with pytest.raises(NotAllowed):
            await made.start(VERA, title="x")
        for began in (clock.now() + MINUTE, clock.now() - OLDEST_US - MINUTE):
            with pytest.raises(BadInput):
                await made.start(OLGA, title="x", began_at=began)
        id = await made.start(OLGA, title="x")
        for text in ("", "  ", "a" * 4_001):
            with pytest.raises(BadInput):
                await made.note(OLGA, id, text)
        with pytest.raises(BadInput):
            await made.rename(OLGA, id, " ")
        with pytest.raises(NotFound):
            await made.note(OLGA, 99, "x")
        rows = await store.fetch_all("SELECT outcome FROM audit WHERE action = 'change_incident'")
        assert [row[0] for row in rows] == ["refused", "done"]


async def test_there_is_a_limit_of_notes(tmp_path: Path) -> None:
    async with service(tmp_path) as (store, made):
        id = await made.start(OLGA, title="x")
        for _ in range(2):
            await store.write(lambda db: [store_incidents.add_note(db, id, "n", "olga", 1) for _ in range(NOTES // 2)])
        with pytest.raises(WrongState, match="too many notes"):
            await made.note(OLGA, id, "one more")


async def test_a_link_shows_its_record_only(tmp_path: Path) -> None:
    async with service(tmp_path) as (_, made):
        id = await made.start(OLGA, title="x")
        code = (await made.share(OLGA, id)).removeprefix("/incidents/shared/")
        assert await made.incident_of_link(code) == id
        for wrong in ("", "1", code + "x"):
            with pytest.raises(NotAllowed):
                await made.incident_of_link(wrong)
        with pytest.raises(NotAllowed):
            await made.share(VERA, id)


async def test_a_link_is_not_valid_for_a_later_incident_of_the_same_number(tmp_path: Path) -> None:
    async with service(tmp_path) as (_, made):
        id = await made.start(OLGA, title="x", began_at=clock.now() - MINUTE)
        code = (await made.share(OLGA, id)).removeprefix("/incidents/shared/")
        await made.delete(OLGA, id)
        assert await made.start(OLGA, title="another one") == id
        with pytest.raises(NotFound):
            await made.incident_of_link(code)


async def test_a_note_is_stored_whole(tmp_path: Path) -> None:
    async with service(tmp_path) as (_, made):
        id = await made.start(OLGA, title="x")
        text = "words " * 600 + "end"
        await made.note(OLGA, id, text)
        assert (await made.record_of(id)).events[-1].text == text
