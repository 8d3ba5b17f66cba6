# SPDX-License-Identifier: AGPL-3.0-or-later
"""Enqueues work for the witness application: `produce.py KIND N` prints one task id a line. Runs in the Celery environment."""

from __future__ import annotations

import json
import random
import sys

import z4j_agent
from tests.support import witness_app as shop

MIX = [("shop.ship", 6), ("shop.charge", 2), ("shop.notify", 2)]


def main() -> None:
    kind, amount = sys.argv[1], int(sys.argv[2])
    for number in range(amount):
        if kind == "mix":
            name = random.choices([name for name, _ in MIX], [weight for _, weight in MIX])[0]
            print(shop.app.send_task(name, (number,)).id)
        else:
            arguments = json.loads(sys.argv[3]) if len(sys.argv) > 3 else []
            print(shop.app.send_task(kind, tuple(arguments)).id)
    agent = z4j_agent.current()
    if agent is not None and len(sys.argv) <= 4:
        agent.flush(3.0)


if __name__ == "__main__":
    main()
