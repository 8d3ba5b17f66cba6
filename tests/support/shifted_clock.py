# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a suite at another moment: `Z4J_TEST_CLOCK=2028-02-29T23:59:40 [Z4J_TEST_ZONE=Europe/Berlin] pytest tests/unit/web`.

Every reading of the time in this process is shifted (the time of day goes on from there); processes that a test starts, and SQLite, keep
the machine's. `python -m tests.support.shifted_clock [2028-02]` runs the suites that read a clock at 30 moments, or at those that begin so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CLOCK: Final = "Z4J_TEST_CLOCK"
ZONE: Final = "Z4J_TEST_ZONE"
MOMENTS: Final[tuple[tuple[str, str], ...]] = (
    *((f"2027-06-15T{hour:02}:{(hour * 7) % 60:02}:30", "UTC") for hour in range(24)),
    ("2027-01-31T23:59:30", "UTC"),
    ("2027-12-31T23:59:45", "UTC"),
    ("2028-02-28T23:59:30", "America/Los_Angeles"),
    ("2028-02-29T12:00:00", "UTC"),
    ("2027-03-28T00:59:30", "Europe/Berlin"),
    ("2027-10-31T00:59:30", "Europe/Berlin"),
)
"""(moment in UTC, local zone): every hour, each at another minute, month's and year's end, both sides of a leap day, the hours that are
skipped and repeated."""
SUITES: Final = (
    "tests/unit/web", "tests/unit/background", "tests/unit/operations", "tests/unit/agents", "tests/unit/rules/schedules",
    "tests/unit/rules/test_totp.py", "tests/unit/cli",
)  # fmt: skip


def shift() -> None:
    """For the rest of this process, if the environment asks for it."""
    moment = os.environ.get(CLOCK)
    if not moment:
        return
    import time_machine

    os.environ["TZ"] = os.environ.get(ZONE, "UTC")
    time.tzset()
    time_machine.travel(datetime.fromisoformat(moment).replace(tzinfo=UTC), tick=True).start()


def run(moment: str, zone: str, suites: tuple[str, ...] = SUITES) -> tuple[str, str]:
    """One moment. Returns its name, and what failed ("" where all passed)."""
    name = f"{moment} {zone}"
    cache = ROOT / ".pytest_cache" / f"clock-{moment.replace(':', '')}"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not long", "-o", f"cache_dir={cache}", *suites]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, CLOCK: moment, ZONE: zone}, capture_output=True, text=True, check=False)
    failed = [line[:200] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return name, "" if done.returncode == 0 else "\n".join(failed) or done.stdout[-2_000:] + done.stderr[-2_000:]


def main() -> int:
    """All moments, or those that are named by the beginning of their time; each is reported when it has been tried."""
    parser = argparse.ArgumentParser(description="Runs the suites that read a clock at many moments.")
    parser.add_argument("moments", nargs="*", help="2028-02 for those that begin so; all without")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time")
    options = parser.parse_args()
    chosen = [of for of in MOMENTS if not options.moments or of[0].startswith(tuple(options.moments))]
    failures = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for future in as_completed([pool.submit(run, *of) for of in chosen]):
            name, failed = future.result()
            failures += bool(failed)
            print(f"at {name}: {failed or 'passed'}", flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} moments passed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
