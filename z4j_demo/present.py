# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the recorded workers hold at this moment: running, waiting, scheduled and retrying tasks. The same for every caller."""

from __future__ import annotations

import random
from typing import NamedTuple

from z4j_demo import lives
from z4j_demo.brief import Brief
from z4j_demo.lives import Life, Process
from z4j_demo.story import HOUR, KINDS, MINUTE, REAL, SECOND, SMTP, WORKERS


class Held(NamedTuple):
    """A task that has not ended. `state`: running, queued, scheduled or retrying."""

    life: Life
    state: str
    eta: int = 0

    def records(self) -> list[bytes]:
        """What was reported of it so far."""
        records = lives.sent(self.life, None, has_original=True, eta=self.eta if self.state == "scheduled" else None)
        if self.state in ("running", "retrying"):
            records += [lives.started(self.life), *lives.logged(self.life)]
        if self.state == "retrying":
            records.append(lives.retried(self.life, self.life.kind.failure or SMTP, self.eta))
        return records


def processes(brief: Brief) -> list[Process]:
    """The processes that run now."""
    return [lives.processes_of(worker, brief.now, brief.days)[-1] for worker in WORKERS]


def held_now(brief: Brief) -> list[Held]:
    """The tasks of recorded engines that have not ended."""
    rng = random.Random(brief.seed + 1)  # noqa: S311 -- a story, no secret
    now, found = brief.now, []
    for process in processes(brief):
        worker = process.worker
        kinds = [kind for kind in KINDS if (kind.app, kind.engine) == (worker.app, worker.engine)]
        if worker.engine == REAL:
            continue
        mix = ("running", *("queued",) * 9, "scheduled", "retrying", "queued", "scheduled")
        for number, state in enumerate(mix):
            ago = rng.randrange(40, 90) * SECOND if state == "running" else rng.randrange(2, 240) * SECOND + 3 * MINUTE
            life = lives.begin(rng, kinds[number % len(kinds)], process, now - ago)
            if state == "running":
                life = life._replace(kind=max(kinds, key=lambda kind: kind.run_ms))
            eta = now + rng.randrange(4, 50) * MINUTE if state == "retrying" else now + rng.randrange(1, 30) * HOUR // 2
            found.append(Held(life, state, eta))
    return found
