# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m bench [PART …]`: measures, then writes bench/results.json and docs/benchmarks.md.

Parts not asked for keep their last figure and the commit they were measured at.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from bench.budgets import BUDGETS, YARDSTICKS, Budget
from bench.engines import ENGINES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results.json"
NOTES = ROOT / "bench/notes.json"
PARTS = ("ingest", "worker", "pages", "commands", "schedules", "retention", "appliance", "engines")
HEAD = """<!-- SPDX-License-Identifier: AGPL-3.0-or-later -->
# Benchmarks

Written by `make bench`. Budgets are goals and are not asserted in CI. Machines differ, and this one was shared with other work. The ratios
were measured side by side in one run, so they are more reliable than the absolute figures. The notes explain each missed budget.

"""


def commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def report(results: dict[str, dict[str, object]], notes: dict[str, str]) -> str:
    lines = [
        HEAD,
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}, two cores.\n",
        "| measure | figure | budget | | command | commit |",
        "|---|--:|--:|---|---|---|",
    ]
    lines += [row(budget, results.get(budget.name, {}), is_budget=budget in BUDGETS) for budget in (*BUDGETS, *YARDSTICKS)]
    lines += engine_table(results)
    causes = [f"- `{name}`: {text}" for name, text in notes.items()]
    return "\n".join(lines) + ("\n\n## Notes\n\n" + "\n".join(causes) if causes else "") + "\n"


def engine_table(results: dict[str, dict[str, object]]) -> list[str]:
    """What watching costs each engine; only engines that were measured stand in it."""
    columns = ("producer_us_per_task", "worker_us_per_task", "worker_cpu_ratio", "throughput_ratio")
    lines = [
        "\n## Engines\n",
        "Each engine runs its own worker and broker and the tasks of its conformance tests, in interleaved pairs with and without z4j. The",
        "server runs on the same two cores. µs is the CPU time added per task, in the process that enqueues and in all worker processes.\n",
        "| engine | µs in the producer | µs in the worker | worker CPU | throughput | command | commit |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for engine in ENGINES:
        known = [entry for column in columns if (entry := results.get(f"{engine}_{column}")) is not None]
        if len(known) == len(columns):
            figures = " | ".join(f"{float(str(entry['figure'])):.4g}" for entry in known)
            lines.append(f"| {engine} | {figures} | `python -m bench engines` | {known[0]['commit']} |")
    return lines


def row(budget: Budget, entry: dict[str, object], *, is_budget: bool) -> str:
    command = f"python -m {budget.how.replace('.', ' ')}"
    figure = None if entry.get("figure") is None else float(str(entry["figure"]))
    shown = "–" if figure is None else f"{figure:,.2f}".rstrip("0").rstrip(".")
    limit = f"{'≥' if budget.better == 'more' else '≤'} {budget.limit:g}" if is_budget else ""
    verdict = budget.verdict(figure) if is_budget else "for comparison"
    return f"| `{budget.name}` {budget.what} | {shown} | {limit} | {verdict} | `{command}` | {entry.get('commit', '–')} |"


def main() -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    for part in [name for name in sys.argv[1:] if name in PARTS] or ([] if "--report" in sys.argv else PARTS):
        print(f"{part} …", flush=True)
        for name, figure in import_module(f"bench.{part}").measure().items():
            results[name] = {
                "figure": round(figure, 3),
                "commit": commit(),
                "at": time.strftime("%Y-%m-%d", time.gmtime()),
            }
            print(f"  {name} = {figure:,.3f}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    (ROOT / "docs/benchmarks.md").write_text(report(results, notes))


if __name__ == "__main__":
    main()
