# SPDX-License-Identifier: AGPL-3.0-or-later
"""From the click on Retry to the engine having the new message, one click after the other, on one host's clock."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.measure import median
from tests.support.browserless import Person
from tests.support.stack import stack, wait_for
from tests.support.wire_client import now


def measure(clicks: int = 40) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder), is_fresh=True) as made:
        made.start_broker()
        made.command("migrate")
        made.add_app()
        made.start_server()
        made.start_worker()
        person = Person.sign_in(made)
        tasks = made.produce("shop.charge", clicks, "[1]")
        wait_for(lambda: [made.states().get(task) for task in tasks] == [11] * clicks, what="all failed")
        waits = []
        for number, task in enumerate(tasks, 1):
            row = person.row_id(task)
            clicked = now()
            person.client.post(f"/tasks/{row}/retry", data={"reason": "bench"}, follow_redirects=False)

            def done(number: int = number) -> list[tuple[Any, ...]]:
                rows = made.rows("SELECT ended_at FROM command WHERE status = 'done' ORDER BY created_at")
                return rows if len(rows) == number else []

            [*_, (ended,)] = wait_for(done, what="the command is done")
            waits.append((int(ended) - clicked) / 1000)
        return {"command_p50_ms": median(waits)}
