# SPDX-License-Identifier: Apache-2.0
import os

from celery import Celery
from flask import Flask

import z4j_celery
from z4j_flask import Z4J

app = Flask(__name__)
celery = Celery("example", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
Z4J(app)
z4j_celery.install(celery)


@celery.task
def ship(number: int) -> str:
    return f"order {number} is on its way"


@app.post("/orders/<int:number>")
def order(number: int) -> str:
    return str(ship.delay(number).id)
