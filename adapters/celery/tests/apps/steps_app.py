# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""One application in many configurations; `STEPS` names the one. `python steps_app.py` does what it reads on stdin, a line of JSON each:
`["send", app, task, args, options]` is answered with the task id, `["lookup", task id]` with what Celery knows of it.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.backends.base import KeyValueStoreBackend
from kombu import Queue

import z4j_agent
import z4j_celery

CONFIGURATION = os.environ["STEPS"]
BROKER = os.environ["FIRST_URL"]
QUORUM = {"x-queue-type": "quorum"}


class FolderBackend(KeyValueStoreBackend):
    """A backend of the application's own: a file for each result."""

    def _path(self, key: str | bytes) -> Path:
        return Path(os.environ["RESULTS"], (key.decode() if isinstance(key, bytes) else key).replace("/", "_"))

    def get(self, key: str | bytes) -> bytes | None:
        path = self._path(key)
        return path.read_bytes() if path.exists() else None

    def set(self, key: str | bytes, value: str | bytes) -> None:
        self._path(key).write_bytes(value.encode() if isinstance(value, str) else value)

    def delete(self, key: str | bytes) -> None:
        self._path(key).unlink(missing_ok=True)


def make(name: str, broker: str) -> Any:
    """An app with its tasks; `name` goes in front of their names."""
    app = Celery(name, broker=broker, set_as_current=False)
    arguments = QUORUM if CONFIGURATION == "quorum" else None
    queues = [Queue(each, routing_key=each, queue_arguments=arguments) for each in ("work", "parked")]
    settings: dict[str, Any] = {
        "task_default_queue": "work",
        "task_queues": queues,
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
        "result_backend": None if CONFIGURATION == "no backend" else os.environ.get("BACKEND_URL") or broker,
    }
    if CONFIGURATION == "own backend":
        settings["result_backend"] = "steps_app.FolderBackend"
    if CONFIGURATION == "signed":
        folder = Path(os.environ["KEYS"])
        settings |= {
            "security_key": str(folder / "key.pem"),
            "security_certificate": str(folder / "certificate.crt"),
            "security_cert_store": str(folder / "*.crt"),
            "security_digest": "sha256",
            "task_serializer": "auth",
            "event_serializer": "auth",
            "accept_content": ["auth"],
            "result_accept_content": ["json"],
        }
    if CONFIGURATION == "pickle":
        settings |= {"task_serializer": "pickle", "result_serializer": "pickle", "accept_content": ["pickle", "json"]}
    if CONFIGURATION == "protocol 1":
        settings["task_protocol"] = 1
    if CONFIGURATION == "late":
        settings |= {"task_acks_late": True, "task_reject_on_worker_lost": True}
    if CONFIGURATION == "quorum":
        settings |= {"task_default_queue_type": "quorum", "broker_native_delayed_delivery_queue_type": "classic"}
    if CONFIGURATION == "namespaced":
        app.config_from_object({f"CELERY_{key.upper()}": value for key, value in settings.items()}, namespace="CELERY")
    else:
        app.conf.update(settings)
    if CONFIGURATION == "signed":
        app.setup_security()
    z4j_celery.install(app)

    @app.task(name=f"{name}.succeed", shared=False)
    def succeed(value: Any) -> Any:
        return value

    @app.task(name=f"{name}.fail", shared=False)
    def fail(value: str) -> None:
        raise ValueError(value)

    @app.task(name=f"{name}.retry", shared=False, bind=True)
    def retry(self: Task) -> str:
        if self.request.retries == 0:
            raise self.retry(countdown=0, exc=ConnectionError("mail host refused"))
        return "second"

    @app.task(name=f"{name}.wait", shared=False)
    def wait(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    return app


app = make("one", BROKER)
other = make("other", os.environ["OTHER_URL"]) if CONFIGURATION == "two apps" else None


def serve() -> None:
    for line in sys.stdin:
        kind, *rest = json.loads(line)
        if kind == "send":
            name, task, args, options = rest
            if "in_s" in options:
                options["eta"] = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=options.pop("in_s"))
            sender = other if other is not None and name == "other" else app
            print(sender.tasks[f"{name}.{task}"].apply_async(args, **options).id, flush=True)
        else:
            agent = z4j_agent.current()
            assert agent is not None
            try:
                print(json.dumps(agent.adapters[0].lookup_task(*rest)), flush=True)
            except Exception as error:
                print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)


if __name__ == "__main__":
    serve()
