# SPDX-License-Identifier: Apache-2.0
import asyncio

from app import add, broker


async def main() -> None:
    await broker.startup()
    task = await add.kiq(2, 3)
    print((await task.wait_result(timeout=20)).return_value)
    await broker.shutdown()


asyncio.run(main())
