# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j with a clock that is moved by `Z4J_BENCH_MOVED_US` microseconds: a database that was made earlier is one of now.

Z4J_BENCH_MOVED_US=-86400000000 python -m bench.moved_server serve
"""

from __future__ import annotations

import os
import time

from z4j import clock
from z4j.cli import main

MOVED_NS = int(os.environ["Z4J_BENCH_MOVED_US"]) * 1_000

clock.use(lambda: time.time_ns() + MOVED_NS)
raise SystemExit(main())
