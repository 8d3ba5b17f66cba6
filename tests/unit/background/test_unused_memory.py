# SPDX-License-Identifier: AGPL-3.0-or-later
"""A process of its own, because the memory of this one depends on the tests before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FREES = """
import asyncio, re
from pathlib import Path
from z4j.background.unused_memory import UnusedMemory

def resident_kb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

kept = [bytearray(5_000) for _ in range(16_000)]
del kept[:-1:2], kept[1:-1]  # what stays is at the end, so glibc returns nothing
unused = UnusedMemory()
before = resident_kb()
done = asyncio.run(unused.round(0))
print(int(done), before - resident_kb())
"""


def test_freed_memory_is_returned() -> None:
    found = subprocess.run([sys.executable, "-c", FREES], capture_output=True, text=True, check=True, cwd=ROOT)
    done, returned_kb = map(int, found.stdout.split())
    assert done == 1
    assert returned_kb > 50_000
