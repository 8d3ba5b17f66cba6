# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two weeks of a real server in a quarter of an hour: agents send, processes are replaced, pages are read, and every duty runs, the nightly
backups among them. What the process needs stays flat. `test_two_weeks.py` is the same within one process."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

import httpx2
import pytest

from tests.support.browserless import Person
from tests.support.database import life, origin
from tests.support.fast_server import FastClock
from tests.support.stack import SERVER_PYTHON, Stack, stack, wait_for
from tests.support.wire_client import WireClient
from z4j.store.backups.backup_results import read_results
from z4j_agent import wire

STEP_S = 15 * 60
REAL_STEP_S = 0.45
PACE = STEP_S / REAL_STEP_S
PER_STEP = 40
AGENTS = 3
DAY_STEPS = 24 * 4
DAYS = 14
MOST_GROWTH_MB = 6
"""In the second week: 1 MB a day."""
PAGES = (
    "/", "/tasks", "/tasks?state=failed", "/names", "/errors", "/queues", "/workers", "/schedules", "/alerts", "/incidents", "/releases",
    "/changes", "/changes/audit", "/settings/appliance", "/tasks.csv", "/metrics", "/healthz", "/docs/operate",
)  # fmt: skip
SETTINGS = {"Z4J_DAYS_KEPT": "1", "Z4J_ERRORS_DAYS_KEPT": "2", "Z4J_BACKUPS_DAILY": "7", "Z4J_BACKUPS_WEEKLY": "4"}


@dataclass(frozen=True, slots=True)
class Needs:
    """What the server needs at a moment, or in the middle of many; sizes in megabytes."""

    resident: float
    anonymous: float
    descriptors: float
    threads: float
    wal: float
    database: float


def needs_of(pid: int, data: Path) -> Needs:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    resident, anonymous = (int(re.search(rf"^{name}:\s+(\d+)", rollup, re.M)[1]) / 1000 for name in ("Rss", "Anonymous"))  # type: ignore[index]
    sizes = [file.stat().st_size / 1_000_000 if file.exists() else 0.0 for file in (data / "z4j.db-wal", data / "z4j.db")]
    return Needs(resident, anonymous, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")), *sizes)


def middle(of: list[Needs]) -> Needs:
    return Needs(*(round(median(values), 1) for values in zip(*map(astuple, of), strict=True)))


class Life:
    """A server, its agents and a person."""

    def __init__(self, made: Stack) -> None:
        self.stack, self.clock = made, FastClock(made.folder / "clock")
        words: list[str | Path] = [
            SERVER_PYTHON,
            "-m",
            "tests.support.fast_server",
            self.clock.file,
            f"{PACE}",
            "serve",
            "--port",
            f"{made.port}",
        ]
        self.server = made.start("server", words, SETTINGS, is_fresh=True)
        wait_for(lambda: made.answers(self.server), what=f"the server answers, see {self.server.log}")
        self.pid = self.server.process.pid
        self.person: httpx2.Client | None = None
        Person.sign_in(made).client.close()  # adds the user
        self.agents = [self.connect() for _ in range(AGENTS)]
        made.at_end.append(self.close)

    def connect(self) -> WireClient:
        client = WireClient(self.stack.url, say_hello=False)
        client.say(client.hello(at=self.clock.now(), worker=f"w{client.boot}@test"))
        client.welcome = client.hear(60)
        return client

    def close(self) -> None:
        for agent in self.agents:
            agent.__exit__(None, None, None)

    def read(self, path: str) -> None:
        """Reads a page, after signing in where the session has ended."""
        for _ in range(2):
            if self.person is None:
                self.person = Person.sign_in_as(self.stack, self.stack.address).client
            answer = self.person.get(path, follow_redirects=False, timeout=60)
            if answer.status_code != 303:
                break
            self.person.close()
            self.person = None
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])

    def step(self, number: int) -> None:
        """A quarter of an hour."""
        self.clock.move(STEP_S)
        if number % 4 == 0:  # each hour another process is replaced
            index = number // 4 % AGENTS
            self.agents[index].__exit__(None, None, None)
            self.agents[index] = self.connect()
        at = self.clock.now() - 60_000_000
        for index, agent in enumerate(self.agents):
            records = [origin(agent.boot, at=at, worker=f"w{agent.boot}@test")]
            for task in range(index, PER_STEP, AGENTS):
                end, name = "failed" if task % 7 == 0 else "succeeded", f"shop.task{task % 9}"
                records += life(str(uuid.uuid4()), at, end, name=name, run=f"{agent.boot}.7")
            seq = agent.send(b"".join(map(wire.encode_record, records)))
            while (frame := agent.hear(60))["type"] != "ack" or frame["seq"] < seq:
                pass
        self.read(PAGES[number % len(PAGES)])


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Life]:
    with stack(tmp_path) as made:
        made.command("migrate")
        made.add_app()
        yield Life(made)


@pytest.mark.long
@pytest.mark.timeout(2_400)
def test_two_weeks_of_a_server(lived: Life) -> None:
    days: list[Needs] = []
    hours: list[Needs] = []
    highest_wal = 0.0
    for number in range(DAYS * DAY_STEPS):
        began = time.monotonic()
        lived.step(number)
        time.sleep(max(REAL_STEP_S - (time.monotonic() - began), 0.05))
        if number % 4 == 3:
            hours.append(needs_of(lived.pid, lived.stack.data))
            highest_wal = max(highest_wal, hours[-1].wal)
        if len(hours) == 24:
            days.append(middle(hours))
            hours.clear()
            print(f"day {len(days)}:", days[-1], flush=True)
    # What is kept is full after two days; then the page caches of SQLite grow to the size of the database, one connection after the other.
    first, last = days[DAYS // 2], days[-1]
    log = lived.server.log.read_text()
    assert "Traceback" not in log, log[-3000:]
    assert last.resident < first.resident + MOST_GROWTH_MB, days
    assert last.anonymous < first.anonymous + MOST_GROWTH_MB, days
    assert last.descriptors <= first.descriptors + 2, days
    assert last.threads <= first.threads + 2, days
    assert last.database < first.database * 1.25, days
    assert highest_wal < 12
    [(kept,)] = lived.stack.rows("SELECT count(*) FROM task")
    assert PER_STEP * DAY_STEPS * 0.9 < kept < PER_STEP * DAY_STEPS * 2.2, "retention holds its limit, and deletes nothing else"
    good = [each for each in read_results(lived.stack.data).results if not each.problem]
    assert len(good) >= DAYS - 2, "a backup of every night"
    assert len(list((lived.stack.data / "backups").glob("*.db"))) <= 7 + 4 + 1
