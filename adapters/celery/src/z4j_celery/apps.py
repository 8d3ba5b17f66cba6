# SPDX-License-Identifier: Apache-2.0
"""Which app is meant, where a process holds several: Celery's signals are global and do not say.

An original names its app only where several are watched, so that it is never sent into another app's broker.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from celery import Celery, _state
from celery.local import Proxy

from z4j_agent.adapter import Refused

DEEP_ENOUGH = 12
_watched: list[Any] = []
_brokers: dict[int, str] = {}


def real(app: Any) -> Any:
    """The app itself where `celery.current_app`, or another proxy of it, was given."""
    return app._get_current_object() if type(app) is Proxy else app


def watch(app: Any) -> None:
    _watched.append(app)


def forget(app: Any) -> None:
    _watched[:] = [other for other in _watched if other is not app]
    _brokers.pop(id(app), None)


def is_sending(app: Any) -> bool:
    """Whether the message about to be published, or just published, is this app's. True where nobody can tell.

    The signals of publishing carry no app; only the frame of `Celery.send_task` knows it. It is looked at when there are several.
    """
    if len(_state._get_active_apps()) < 2:
        return True
    frame: Any = sys._getframe(2)
    for _ in range(DEEP_ENOUGH):
        if frame is None:
            return True
        if frame.f_code.co_name == "send_task" and isinstance(sender := frame.f_locals.get("self"), Celery):
            return sender is app
        frame = frame.f_back
    return True


def name_of(app: Any) -> str:
    """What an original calls its app: "" where it is the only one watched, its `main` where that is unique."""
    if len(_watched) < 2:
        return ""
    main = str(app.main or "")
    return main if sum(str(other.main or "") == main for other in _watched) == 1 else f"{main}@{_broker(app)}"


def choose(apps: list[Any], name: str) -> Any:
    """The app an original came from; the first one where it names none. Raises Refused when it is not in this process."""
    if not name:
        return apps[0]
    main, _, broker = name.rpartition("@") if "@" in name else (name, "", "")
    found = [app for app in apps if str(app.main or "") == main and (not broker or _broker(app) == broker)]
    if not found:
        raise Refused(f"it belongs to the app {main!r}, which this process does not have")
    return found[0]


def _broker(app: Any) -> str:
    """A broker's address as eight digits: an original may be kept where the address must not be known."""
    if id(app) not in _brokers:
        _brokers[id(app)] = hashlib.sha256(app.connection_for_write().as_uri().encode()).hexdigest()[:8]
    return _brokers[id(app)]
