# SPDX-License-Identifier: Apache-2.0
import os

from celery import Celery
from fastapi import FastAPI

import z4j_celery
import z4j_fastapi

app = FastAPI()
celery = Celery("example", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
z4j_fastapi.install(app, APP="example")
z4j_celery.install(celery)


@celery.task
def ship(number: int) -> str:
    return f"order {number} is on its way"


@app.post("/orders/{number}")
def order(number: int) -> str:
    return str(ship.delay(number).id)
