# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records incidents: start, notes with their times, and an end that stores all collected data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState
from z4j.live import Live
from z4j.operations.audited_change import change, check_role
from z4j.operations.commands import Actor
from z4j.operations.signed_links import SignedLinks
from z4j.rules.incidents.record import Curve, Event, Record, in_order
from z4j.rules.operator_input import shown_note, shown_reason
from z4j.rules.rollups import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US
from z4j.store.access.audit import AuditLog
from z4j.store.fleet import releases
from z4j.store.incidents import incidents
from z4j.store.incidents.incidents import Incident
from z4j.store.rollups import rollups
from z4j.store.rollups.rollups import Range
from z4j.store.sqlite.db import Connection, Store
from z4j.store.tasks import task_search
from z4j.store.tasks.task_search import TaskFilter
from z4j.text import JsonObject

ACTION: Final = "change_incident"
TITLE: Final = 200
NOTE: Final = 4_000
OLDEST_US: Final = 90 * DAY_US
"""How far back an incident may begin: earlier data has been deleted."""
SLOTS: Final = 240


class Incidents:
    """One per server."""

    def __init__(self, store: Store, live: Live, audit_log: AuditLog, folder: Path) -> None:
        self.store = store
        self.live = live
        self.audit_log = audit_log
        self._links = SignedLinks(folder, "incident")

    async def start(self, actor: Actor, *, title: str, app: str = "", environment: str = "", began_at: int | None = None) -> int:
        """Starts an incident, now or at an earlier time, and returns its ID. Raises NotAllowed or BadInput."""
        at = clock.now()
        began = at if began_at is None else began_at
        if not at - OLDEST_US <= began <= at:
            raise BadInput("An incident must begin within the last 90 days. No changes were made.")
        name = _title(title) or "Incident"
        made = await self._change(
            actor, lambda found: f"incident {found}", {"title": name},
            lambda db: incidents.start(db, name, app[:TITLE], environment[:TITLE], began, actor.name),
        )  # fmt: skip
        assert made is not None
        return made

    async def rename(self, actor: Actor, id: int, title: str) -> None:
        """Changes the title. Raises NotAllowed, BadInput or WrongState."""
        name = _title(title)
        if not name:
            raise BadInput("An incident needs a title. No changes were made.")
        await self._of(actor, id, {"title": name}, lambda db: id if incidents.rename(db, id, name) else None)

    async def note(self, actor: Actor, id: int, text: str) -> None:
        """Adds a note, redacted like every operator input. Raises NotAllowed, NotFound, BadInput or WrongState."""
        if not text.strip() or len(text) > NOTE:
            raise BadInput(f"A note must have 1 to {NOTE:,} characters. No changes were made.")
        shown, at = shown_note(text.strip()), clock.now()
        incident, record = await self.get(id)
        if record is not None:
            raise WrongState("The incident has ended, and its record can no longer be changed. No changes were made.")
        await self._of(actor, incident.id, {"note": "added"}, lambda db: id if incidents.add_note(db, id, shown, actor.name, at) else None)

    async def end(self, actor: Actor, id: int) -> None:
        """Ends an incident: collects all data once more and stores it. Raises NotAllowed, NotFound or WrongState."""
        incident, record = await self.get(id)
        if record is not None:
            raise WrongState("The incident has already ended. No changes were made.")
        at = clock.now()
        gathered = await self.gather(incident, at, ended_by=actor.name)
        await self._of(actor, id, {"change": "ended"}, lambda db: id if incidents.end(db, id, gathered, actor.name, at) else None)

    async def delete(self, actor: Actor, id: int) -> None:
        """Deletes an incident with its record. Raises NotAllowed or WrongState."""
        await self._of(actor, id, {"change": "deleted"}, lambda db: id if incidents.delete(db, id) else None)

    async def get(self, id: int) -> tuple[Incident, Record | None]:
        """Returns an incident, with its record if it has ended. Raises NotFound."""
        found = await incidents.get_incident(self.store, id)
        if found is None:
            raise NotFound("Incident not found. It may have been deleted.")
        return found

    async def record_of(self, id: int) -> Record:
        """Returns the current record, or the stored one after the end. Raises NotFound."""
        incident, record = await self.get(id)
        return record or await self.gather(incident, clock.now())

    async def gather(self, incident: Incident, at: int, *, ended_by: str = "") -> Record:
        """Returns everything that happened until a time (microseconds UTC)."""
        events, left_out = await incidents.list_events(self.store, incident, at)
        errors, new = await incidents.list_errors(self.store, incident, at)
        sights = await releases.list_sights(self.store, incident.began_at, at, app=incident.app, environment=incident.environment)
        events += new
        events += [Event(sight.at, "release", f"{sight.release} ({sight.app} {sight.environment})") for sight in sights]
        events.append(Event(incident.began_at, "began", incident.title, incident.started_by))
        if ended_by:
            events.append(Event(at, "ended", "the record was closed", ended_by))
        return Record(
            incident.title, incident.app, incident.environment, incident.began_at, at if ended_by else None, incident.started_by, ended_by,
            in_order(events), tuple(errors), await self._curve(incident, at), left_out,
        )  # fmt: skip

    async def _curve(self, incident: Incident, until: int) -> Curve:
        span = until - incident.began_at
        step = MINUTE if span <= SLOTS * MINUTE_US and incident.began_at > clock.now() - 2 * DAY_US + HOUR_US else HOUR
        slot = MINUTE_US if step == MINUTE else max(-(-span // (SLOTS * HOUR_US)), 1) * HOUR_US
        since = incident.began_at // slot * slot
        times = range(since, until, slot)
        params = await task_search.resolve(self.store, TaskFilter(app=incident.app, environment=incident.environment))
        if params is None:
            return Curve(since, slot)
        sums = await rollups.by_time(self.store, await rollups.list_totals(self.store, params), Range(step, since, until))
        good, bad = dict.fromkeys(times, 0), dict.fromkeys(times, 0)
        for time, each in sums.items():
            at = time // slot * slot
            if at in good:
                failed = each.failed + each.lost + each.rejected + each.expired
                good[at], bad[at] = good[at] + each.ended - failed, bad[at] + failed
        return Curve(since, slot, tuple(good.values()), tuple(bad.values()))

    # -- sharing -------------------------------------------------------------------------------------------------------
    async def share(self, actor: Actor, id: int) -> str:
        """Returns the path that shows the record without signing in, for a week. Raises NotAllowed or NotFound."""
        incident, _ = await self.get(id)
        await self._of(actor, id, {"change": "shared"}, lambda db: id)
        return f"/incidents/shared/{self._links.code(id, incident.began_at)}"

    async def incident_of_link(self, code: str) -> int:
        """Returns the incident of such a link. Raises NotAllowed, or NotFound after it was deleted."""
        found = self._links.read(code)
        if found is None:
            raise NotAllowed("This link has expired or is incomplete.", "Ask for a new link.")
        incident, _ = await self.get(found[0])
        if incident.began_at != found[1]:
            raise NotFound("Incident not found. It may have been deleted.")
        return incident.id

    # -- common --------------------------------------------------------------------------------------------------------
    async def _of(self, actor: Actor, id: int, detail: JsonObject, work: Callable[[Connection], int | None]) -> None:
        if await self._change(actor, lambda _: f"incident {id}", detail, work) is None:
            raise WrongState("The incident has ended, was deleted, or has too many notes. No changes were made.", "Reload its page.")

    async def _change(
        self, actor: Actor, target: Callable[[int], str], detail: JsonObject, work: Callable[[Connection], int | None]
    ) -> int | None:  # fmt: skip
        await check_role(self.store, self.audit_log, actor, ACTION, "incident")
        done = await change(self.store, self.audit_log, actor, ACTION, target, detail, work)
        if done is not None:
            self.live.changed(("incidents", "changes"))
        return done


def _title(text: str) -> str:
    return shown_reason(" ".join(text.split()))[:TITLE]
