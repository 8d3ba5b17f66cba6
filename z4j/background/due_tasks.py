# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes scheduled tasks whose time has come from `scheduled` to `queued`."""

from __future__ import annotations

from z4j.background.server_events import Changed, add_events
from z4j.store.sqlite.db import Store
from z4j.store.tasks import stale_tasks


class DueTasks:
    """`changed` is called with the topics of `live` that changed."""

    def __init__(self, store: Store, changed: Changed) -> None:
        self.store, self.changed = store, changed

    async def make_due(self, at: int) -> int:
        """Changes `scheduled` tasks to `queued` when their eta has passed. Returns how many tasks changed."""
        return await add_events(self.store, self.changed, "due", await stale_tasks.list_due(self.store, at))
