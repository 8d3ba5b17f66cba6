# SPDX-License-Identifier: Apache-2.0
"""Which app is meant, where a process holds several: Celery's signals are global and do not say.

An original names its app only where several are watched. Apps may have different brokers, with queues of one name: what tells those apart
is the broker's identity (`z4j_agent.capture.broker`).
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
    """The app itself where `celery.current_app`, or another proxy of it, was given."""
    return app._get_current_object() if type(app) is Proxy else app


def watch(app: Any) -> None:
    _watched.append(app)


def forget(app: Any) -> None:
    _watched[:] = [other for other in _watched if other is not app]
    _brokers.pop(id(app), None)
    _identities.forget(app)


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


def choose(apps: list[Any], name: str, queue: str, *, is_sure: bool) -> Any:
    """The app an original came from, the first one where it names none. `is_sure`: all of these are known to have its broker, so that
    another app of it does as well. Raises Refused when it is not in this process, or may be in several brokers."""
    main, _, broker = name.rpartition("@") if "@" in name else (name, "", "")
    chosen = [app for app in apps if not name or (str(app.main or "") == main and (not broker or _broker(app) == broker))]
    if not chosen and is_sure:
        chosen = [app for app in apps if queue in app.amqp.queues] or apps
    if not chosen:
        raise Refused(f"it belongs to the app {main!r}, which this process does not have", check="broker.unknown")
    return the_one(chosen)


# -- brokers ---------------------------------------------------------------------------------------------------------------
def the_one(apps: list[Any]) -> Any:
    """The first, where all of these have one broker. Raises Refused."""
    if not apps:
        raise Refused("no app with this broker is watched in this process any more", check="broker.unknown")
    if len({broker_key_of(app) for app in apps}) > 1:
        raise Refused(
            "several apps of this process may be meant, which have different brokers, and the command names none; nothing was changed",
            check="broker.unknown",
        )
    return apps[0]


def broker_key_of(app: Any) -> str | int:
    """Equal for two apps with one broker."""
    return identity_of(app) or id(app)


def identity_of(app: Any) -> str:
    """Of the broker the app sends to. The owner's own name (`Z4J_BROKER`) is that of the first app."""
    return _identities.of(app, _watched[0] if _watched else None)


def _identify(app: Any, this_host: str) -> str:
    """From kombu's own reading of the configuration; a failover list is one broker. "" for one in memory."""
    connection = app.connection_for_write()
    options = connection.transport_options or {}
    kind, prefix = str(connection.transport_cls), str(options.get("global_keyprefix") or "")
    if kind == "memory":
        return ""
    if kind == "sentinel":  # the name outlives a failover, the addresses do not
        database = str(connection.virtual_host or "0")
        return identify("redis+sentinel", str(options.get("master_name") or ""), 1, database, prefix, this_host=this_host)
    if kind in ("redis", "rediss", "redis+socket") and len(connection.alt or ()) < 2:
        host, port = str(connection.hostname or ""), connection.port
        database = str(connection.virtual_host or "0")
        return identify("redis", host, None if host.startswith("/") else port, database, prefix, this_host=this_host)
    urls = connection.alt or [connection.as_uri()]
    return identify_url(";".join(urls), prefix, this_host=this_host)


_identities: Final = Identities(_identify, z4j_agent.current)
"""Asked once of each app, for making a connection of kombu's takes time."""


def _broker(app: Any) -> str:
    """A broker's address as eight digits: an original may be kept where the address must not be known."""
    if id(app) not in _brokers:
        _brokers[id(app)] = hashlib.sha256(app.connection_for_write().as_uri().encode()).hexdigest()[:8]
    return _brokers[id(app)]
