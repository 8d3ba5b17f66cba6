# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m z4j_demo PART FOLDER`, or `z4j demo-worker PART FOLDER` of the executable: runs one part of the demo."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from z4j_demo.parent import end_with_parent

PARTS = ("history", "recorded", "warehouse", "crons")


def main(argv: Sequence[str]) -> int:
    """Runs one part until SIGTERM, or until its parent has ended. Returns its exit code."""
    if len(argv) != 2 or argv[0] not in PARTS:
        print(f"usage: demo-worker {{{','.join(PARTS)}}} FOLDER", file=sys.stderr)
        return 2
    end_with_parent()
    importlib.import_module(f"z4j_demo.{argv[0]}").main(Path(argv[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
