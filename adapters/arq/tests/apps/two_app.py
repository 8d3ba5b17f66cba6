# SPDX-License-Identifier: Apache-2.0
"""A worker of one of two Redis databases, both with arq's default queue: `TWO_PORT=… TWO_FOLDER=… python two_app.py <0 or 1>`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from arq import Worker
from arq.connections import RedisSettings

import z4j_arq

WHICH = int(sys.argv[1])


async def note(ctx: dict[str, Any], value: str) -> None:
    with (Path(os.environ["TWO_FOLDER"]) / f"ran-{WHICH}").open("a") as file:
        file.write(f"{value}\n")


async def main() -> None:
    if "Z4J_URL" in os.environ:
        z4j_arq.install()
    redis = RedisSettings(port=int(os.environ["TWO_PORT"]), database=WHICH)
    await Worker(functions=[note], redis_settings=redis, poll_delay=0.05).main()


if __name__ == "__main__":
    asyncio.run(main())
