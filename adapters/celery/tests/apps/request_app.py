# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="untyped-decorator"
"""Tasks that write down everything they can read of their own request. `python request_app.py` sends one of each kind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from celery import Celery, Task

import z4j_celery

app = Celery("request", broker=os.environ["BROKER_URL"])
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True, worker_enable_remote_control=False)
if os.environ["WATCHED"]:
    z4j_celery.install(app)


def shown(value: Any) -> Any:
    """The value in JSON, with the type of everything in it; keys are sorted, because their order is no part of what a mapping equals."""
    if isinstance(value, dict):
        return {str(key): shown(item) for key, item in sorted(value.items(), key=lambda item: str(item[0]))}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(shown, value)]
    return [type(value).__name__, repr(value)]


@app.task(name="request.dump", bind=True, max_retries=1)
def dump(self: Task, label: str, again: bool = False) -> None:
    request = self.request._get_current_object() if hasattr(self.request, "_get_current_object") else self.request
    attributes = {name: getattr(request, name, None) for name in dir(request) if not name.startswith("__") and name != "_children"}
    attributes = {name: value for name, value in attributes.items() if not callable(value)} | {"vars": dict(vars(request))}
    target = Path(os.environ["DUMPS"], f"{label}.{self.request.retries}.json")
    target.with_suffix(".new").write_text(json.dumps(shown(attributes)))
    target.with_suffix(".new").replace(target)
    if again and self.request.retries == 0:
        raise self.retry(countdown=0)


def send() -> None:
    old = {"z4j": 1, "z4j_received": 1_700_000_000_000_000, "z4j_retry_of": "t"}
    dump.apply_async(("plain",))
    dump.apply_async(("headers",), headers={"tenant": "blue", "deep": {"a": [1, None]}})
    dump.apply_async(("retry",), {"again": True})
    dump.apply_async(("link",), link=dump.si("linked"), link_error=dump.si("never"))
    dump.apply_async(("eta",), countdown=0.2, expires=60)
    dump.apply_async(("priority",), priority=3, shadow="another name", headers={"x": "1"})
    if not os.environ["WATCHED"]:
        dump.apply_async(("old",), headers=old if os.environ.get("OLD") else None)


if __name__ == "__main__":
    send()
