# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the applications of all engines have in common: the task `login`, its secret defaults, and a log at DEBUG.

Runs in the engines' environments. $CANARIES is a file with the secrets of this run, which the applications know, as any application
knows its own. $WITNESS gets a line `<engine> <user> <digest of what came>` for each run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import z4j_agent

KNOWN: dict[str, Any] = json.loads(Path(os.environ["CANARIES"]).read_text())
SIGNATURE: dict[str, Any] = KNOWN["signature"]
ENGINES = ("celery", "kombu", "amqp", "rq", "rq_scheduler", "arq", "dramatiq", "huey", "taskiq", "apscheduler", "shop")
LINES = logging.getLogger("canary.lines")
"""What tasks log for z4j alone: the host's own log is searched for secrets, too."""
LINES.propagate = False
LINES.setLevel(logging.INFO)
LINES.addHandler(z4j_agent.LogHandler())
_witness = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def digest(password: Any, link: Any, bundle: Any) -> str:
    return hashlib.sha256(json.dumps([password, link, bundle], sort_keys=True).encode()).hexdigest()[:16]


def documented(function: Any) -> Any:
    """With a secret in its documentation."""
    function.__doc__ = SIGNATURE["doc"]
    return function


def execute(engine: str, user: str, password: str, link: str, bundle: Any) -> dict[str, Any]:
    """Fails until $UNLOCK exists, as applications fail: with secrets in the message, in its cause and in the traceback."""
    os.write(_witness, f"{engine}|{user}|{digest(password, link, bundle)}\n".encode())
    z4j_agent.annotate(user=user, password=password, link=link, bundle=bundle, said=f"{user}: password={password}, link {link}")
    z4j_agent.progress(1, 2, f"{user} signs in with password={password} at {link}")
    LINES.info("%s signs in: password=%s, link %s, header %s, %s", user, password, link, bundle["header"], json.dumps(bundle))
    if not os.path.exists(os.environ["UNLOCK"]):
        try:
            raise OSError(f"could not connect to {bundle['dsn']}, {bundle['env']}")
        except OSError as cause:
            said = f"{user} cannot sign in: password={password}, link {link}, header {bundle['header']}, {json.dumps(bundle)}"
            raise ConnectionError(said) from cause
    return {"note": f"{user} result", "session_token": password, "link": link, "bundle": bundle}


def log_everything(name: str) -> None:
    """The host's log and output: everything at DEBUG but what the engines themselves write, which is their matter."""
    handler = logging.FileHandler(Path(os.environ["HOST_LOGS"]) / f"{name}-{os.getpid()}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    for logger in ("", "z4j", "z4j_agent", "websockets", "asyncio"):
        logging.getLogger(logger).setLevel(logging.DEBUG)
    engines, call_handlers = ENGINES, logging.Logger.callHandlers

    def without_engines(self: logging.Logger, record: logging.LogRecord) -> None:
        package = record.pathname.rpartition("site-packages/")[2].partition("/")[0]  # Dramatiq names loggers after actors
        if record.name.partition(".")[0] not in engines and package not in engines:
            call_handlers(self, record)

    logging.Logger.callHandlers = without_engines  # type: ignore[method-assign]
