# SPDX-License-Identifier: Apache-2.0
from app import add, queue

job = queue.enqueue(add, 2, 3)
result = job.latest_result(timeout=20)
print(result.return_value if result else "no worker has come to it yet")
