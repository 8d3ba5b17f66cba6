# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Celery application whose tasks testify: each writes one line to $WITNESS as its first and as its last act.

Runs in the Celery environment, never in the server's. A line is `<begin|end> <task id> <attempt> <name> <pid>`; one `write`
with O_APPEND each, so the file is true whoever is killed in between.
"""

from __future__ import annotations

import os
import signal
import time

from celery import Celery, Task

import z4j_celery

app = Celery("witness", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue="work",
    worker_prefetch_multiplier=4,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    result_expires=600,
    task_acks_late="ACKS_LATE" in os.environ,
)
if os.environ.get("Z4J_URL"):
    z4j_celery.install(app)

_witness = os.open(os.environ.get("WITNESS", "/dev/null"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def testify(word: str, task: Task) -> None:
    line = f"{word} {task.request.id} {task.request.retries} {task.name} {os.getpid()}\n"
    os.write(_witness, line.encode())


@app.task(bind=True, name="shop.ship")
def ship(self: Task, order: int) -> dict[str, int]:
    testify("begin", self)
    time.sleep(0.002)
    testify("end", self)
    return {"order": order}


@app.task(bind=True, name="shop.charge")
def charge(self: Task, order: int) -> None:
    testify("begin", self)
    testify("end", self)
    raise ValueError(f"card of order {order} declined")


@app.task(bind=True, name="shop.notify", max_retries=2)
def notify(self: Task, order: int) -> str:
    testify("begin", self)
    if self.request.retries < 1:
        testify("end", self)
        raise self.retry(countdown=0.1, exc=ConnectionError("mail host refused"))
    testify("end", self)
    return "sent"


@app.task(bind=True, name="shop.crash")
def crash(self: Task) -> None:
    testify("begin", self)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, name="shop.wait")
def wait(self: Task, seconds: float) -> float:
    testify("begin", self)
    time.sleep(seconds)
    testify("end", self)
    return seconds


@app.task(bind=True, name="shop.login")
def login(self: Task, user: str, password: str) -> str:
    """Succeeds only where it is given the true secret, and says so without repeating it."""
    testify("begin", self)
    if self.request.retries == 0 and not os.path.exists(os.environ["UNLOCK"]):
        raise PermissionError("door is closed")
    testify(f"end-{'right' if password == os.environ['SECRET'] else 'wrong'}", self)
    return user


@app.task(bind=True, name="shop.noop")
def noop(self: Task) -> None:
    pass
