# SPDX-License-Identifier: Apache-2.0
"""Chooses among the apps of a process: Celery's signals are global and do not name the app.

An original names its app only if several are monitored. Apps may have different brokers, with queues of the same name; these are
distinguished by the broker's identity (`z4j_agent.capture.broker`).
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any, Final

from celery import Celery, _state
from celery.local import Proxy

import z4j_agent
from z4j_agent.capture.broker import Identities, identify, identify_url
from z4j_agent.contract.adapter import Refused

DEEP_ENOUGH = 12
_watched: list[Any] = []
_brokers: dict[int, str] = {}


def real(app: Any) -> Any:
    """Returns the app itself where `celery.current_app`, or another proxy of it, was given."""
    return app._get_current_object() if type(app) is Proxy else app


def watch(app: Any) -> None:
    """Adds an app to those that are monitored."""
    _watched.append(app)


def forget(app: Any) -> None:
    """Removes an app, and the identity of its broker."""
    _watched[:] = [other for other in _watched if other is not app]
    _brokers.pop(id(app), None)
    _identities.forget(app)


def is_sending(app: Any) -> bool:
    """Whether the message about to be published, or just published, belongs to this app. True if that is unknown.

    The signals of publishing carry no app; only the frame of `Celery.send_task` has it. It is read if there are several apps.
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
    """Returns the name of the app in originals: "" if it is the only one that is monitored, its `main` if that is unique."""
    if len(_watched) < 2:
        return ""
    main = str(app.main or "")
    return main if sum(str(other.main or "") == main for other in _watched) == 1 else f"{main}@{_broker(app)}"


def choose(apps: list[Any], name: str, queue: str, *, is_sure: bool) -> Any:
    """Returns the app of an original, the first one if it names none. `is_sure`: all of these apps have its broker, so that any of them can
    send it. Raises Refused if the app is not in this process, or the broker is ambiguous."""
    main, _, broker = name.rpartition("@") if "@" in name else (name, "", "")
    chosen = [app for app in apps if not name or (str(app.main or "") == main and (not broker or _broker(app) == broker))]
    if not chosen and is_sure:
        chosen = [app for app in apps if queue in app.amqp.queues] or apps
    if not chosen:
        raise Refused(
            f"the task belongs to the app {main!r}, which this process does not have. No changes were made.", check="broker.unknown"
        )
    return the_one(chosen)


# -- brokers ---------------------------------------------------------------------------------------------------------------
def the_one(apps: list[Any]) -> Any:
    """Returns the first app, if all of these have one broker. Raises Refused."""
    if not apps:
        raise Refused("no app with this broker is monitored in this process now. No changes were made.", check="broker.unknown")
    if len({broker_key_of(app) for app in apps}) > 1:
        raise Refused(
            "several apps of this process with different brokers match, and the command names no broker. No changes were made.",
            check="broker.unknown",
        )
    return apps[0]


def broker_key_of(app: Any) -> str | int:
    """Returns a key that is equal for two apps with one broker."""
    return identity_of(app) or id(app)


def identity_of(app: Any) -> str:
    """Returns the identity of the broker that the app sends to. The owner's own name (`Z4J_BROKER`) applies to the broker of the first
    app."""
    return _identities.of(app, _watched[0] if _watched else None)


def _identify(app: Any, this_host: str) -> str:
    """Computes it from the configuration as kombu parses it; a failover list is one broker. "" for a broker in memory."""
    connection = app.connection_for_write()
    options = connection.transport_options or {}
    kind, prefix = str(connection.transport_cls), str(options.get("global_keyprefix") or "")
    if kind == "memory":
        return ""
    if kind == "sentinel":  # the name stays the same after a failover, the addresses do not
        database = str(connection.virtual_host or "0")
        return identify("redis+sentinel", str(options.get("master_name") or ""), 1, database, prefix, this_host=this_host)
    if kind in ("redis", "rediss", "redis+socket") and len(connection.alt or ()) < 2:
        host, port = str(connection.hostname or ""), connection.port
        database = str(connection.virtual_host or "0")
        return identify("redis", host, None if host.startswith("/") else port, database, prefix, this_host=this_host)
    urls = connection.alt or [connection.as_uri()]
    return identify_url(";".join(urls), prefix, this_host=this_host)


_identities: Final = Identities(_identify, z4j_agent.current)
"""Computed once for each app, because creating a connection of kombu takes time."""


def _broker(app: Any) -> str:
    """A broker's address as eight digits: an original may be stored where the address must not be visible."""
    if id(app) not in _brokers:
        _brokers[id(app)] = hashlib.sha256(app.connection_for_write().as_uri().encode()).hexdigest()[:8]
    return _brokers[id(app)]
