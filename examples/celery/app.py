# SPDX-License-Identifier: Apache-2.0
import os

from celery import Celery

import z4j_celery

app = Celery("example", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
z4j_celery.install(app)


@app.task
def add(a: int, b: int) -> int:
    return a + b
