# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m bench [PART …]`: measures, then writes bench/results.json and docs/benchmarks.md. `--help` lists the parts.

Parts not asked for keep their last figure and the commit they were measured at.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.budgets import BUDGETS, CELERY, YARDSTICKS, Budget
from bench.budgets import ENGINES as ENGINE_BUDGETS
from bench.engines import ENGINES
from bench.page_kinds import KINDS, PageFigures
from bench.turns import Spread

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results.json"
NOTES = ROOT / "bench/notes.json"
PARTS = ("ingest", "ingest_full", "pages", "commands", "schedules", "retention", "appliance", "engines")
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
    lines += page_table(results)
    causes = [f"- `{name}`: {text}" for name, text in notes.items()]
    return "\n".join(lines) + ("\n\n## Notes\n\n" + "\n".join(causes) if causes else "") + "\n"


COLUMNS = {
    "producer": "watched_producer_us",
    "worker": "watched_worker_us",
    "worker, unwatched producer": "worker_worker_us",
    "server": "watched_server_us",
    "page faults": "watched_faults",
    "throughput": "watched_throughput_ratio",
    "with an unwatched producer": "worker_throughput_ratio",
    "tasks of 5 ms": "sleep_watched_throughput_ratio",
}


def engine_table(results: dict[str, dict[str, object]]) -> list[str]:
    """What watching costs each engine; only engines that were measured are in it."""
    lines = [
        "\n## Engines\n",
        "Each engine runs its own worker and broker and the tasks of its conformance tests. All workers are alive at once, and each has",
        "turns of a second while the others are stopped, in 18 rounds of random order; differences and ratios are within a round, against",
        "a worker and a producer without z4j: the median, with the quartiles in brackets. The server runs on the same two cores: what it",
        "uses, the worker does not have. The columns up to *server* are µs of processor time per task that does nothing, *page faults*",
        "pages that the kernel gave to the worker or copied after a fork, the others tasks per second. **Bold**: the budget is missed.\n",
        f"Budgets: throughput ≥ {ENGINE_BUDGETS['watched_throughput_ratio']}, with tasks of 5 ms ≥",
        f"{ENGINE_BUDGETS['sleep_watched_throughput_ratio']}; Celery: producer ≤ {CELERY['watched_producer_us']:g} µs, worker ≤",
        f"{CELERY['watched_worker_us']:g} µs, with an unwatched producer ≤ {CELERY['worker_worker_us']:g} µs.\n",
        "| engine | " + " | ".join(COLUMNS) + " | commit |",
        "|---|" + "--:|" * len(COLUMNS) + "---|",
    ]
    for engine in ENGINES:
        shown = [spread_cell(engine, column, results.get(f"{engine}_{column}")) for column in COLUMNS.values()]
        commits = [str(results[name]["commit"]) for column in COLUMNS.values() if (name := f"{engine}_{column}") in results]
        if commits:
            lines.append(f"| {engine} | {' | '.join(shown)} | {commits[0]} |")
    columns = ("flower_worker_us", "flower_throughput_ratio", "sleep_flower_throughput_ratio")
    worker, rate, asleep = (spread_cell("celery", column, results.get(f"celery_{column}")) for column in columns)
    if "celery_flower_throughput_ratio" in results:
        lines.append(f"| celery with `-E` and Flower | – | {worker} | – | {rate} | – | {asleep} | |")
    return lines


def page_table(results: dict[str, dict[str, object]]) -> list[str]:
    """Each kind of page; only those that were measured are in it."""
    lines = [
        "\n## Pages\n",
        "Over tasks of one day with four weeks of sums, while nothing is written; the time is that of the whole answer in the server, the",
        "processor time that of all its threads. An answer is not complete if the search stopped at its deadline: then it says how far",
        "back it came, and continues there. Rows: the median; of a list at most 50. SQL: statements that are run to read the page.\n",
        "| tasks | page | p50 ms | p99 ms | processor ms | complete | rows | SQL |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for size, tasks in (("1m", "1 M"), ("10m", "10 M")):
        for name, kind in KINDS.items():
            if (entry := results.get(f"page_{name}_{size}")) is not None and "p50" in entry:
                p99, p50, cpu, complete, rows, statements = (
                    float(str(entry[part])) for part in ("figure", "p50", "cpu", "complete", "rows", "statements")
                )
                numbers = f"{p50:.1f} | {p99:.1f} | {cpu:.1f} | {complete:.0%} | {rows:.0f} | {statements:.0f}"
                lines.append(f"| {tasks} | {kind.what} | {numbers} |")
    return lines


def spread_cell(engine: str, column: str, entry: dict[str, object] | None) -> str:
    if entry is None:
        return "–"
    figure, low, high = (float(str(entry[part])) for part in ("figure", "low", "high"))
    digits = 2 if column.endswith("ratio") else 0
    text = f"{figure:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
    least, most = ENGINE_BUDGETS.get(column), CELERY.get(column) if engine == "celery" else None
    is_missed = (least is not None and figure < least) or (most is not None and figure > most)
    return f"**{text}**" if is_missed else text


def row(budget: Budget, entry: dict[str, object], *, is_budget: bool) -> str:
    command = f"python -m {budget.how.replace('.', ' ')}"
    figure = None if entry.get("figure") is None else float(str(entry["figure"]))
    shown = "–" if figure is None else f"{figure:,.2f}".rstrip("0").rstrip(".")
    limit = f"{'≥' if budget.better == 'more' else '≤'} {budget.limit:g}" if is_budget else ""
    verdict = budget.verdict(figure) if is_budget else "for comparison"
    return f"| `{budget.name}` {budget.what} | {shown} | {limit} | {verdict} | `{command}` | {entry.get('commit', '–')} |"


def parts_of(words: Sequence[str]) -> list[str]:
    """Returns the parts that a command line asks for. Ends the program on one that does not exist, and after `--help`."""
    parser = argparse.ArgumentParser(
        "python -m bench",
        description="Measures, then writes bench/results.json and docs/benchmarks.md.",
        epilog=f"Parts: {', '.join(PARTS)}.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; without one, everything, which takes hours")
    parser.add_argument("--report", action="store_true", help="measure nothing, only write docs/benchmarks.md again")
    options = parser.parse_args(words)
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"unknown part: {', '.join(unknown)} (known: {', '.join(PARTS)})")
    if options.report and options.parts:
        parser.error("--report measures nothing, so it takes no part")
    return [] if options.report else options.parts or list(PARTS)


def main() -> None:
    parts = parts_of(sys.argv[1:])
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    for part in parts:
        print(f"{part} …", flush=True)
        for name, found in import_module(f"bench.{part}").measure().items():
            figures = asdict(found) if isinstance(found, Spread | PageFigures) else {"figure": found}
            made = {"commit": commit(), "at": time.strftime("%Y-%m-%d", time.gmtime())}
            results[name] = {part: round(figure, 3) for part, figure in figures.items()} | made
            print(f"  {name} = {figures['figure']:,.3f}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    (ROOT / "docs/benchmarks.md").write_text(report(results, notes))


if __name__ == "__main__":
    main()
