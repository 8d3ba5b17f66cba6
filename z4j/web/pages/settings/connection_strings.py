# SPDX-License-Identifier: AGPL-3.0-or-later
"""Creates apps, connection strings and API tokens, for the Settings pages and for the command line.

The seal key belongs to the app: it is created with the app's first token, shown once, and never stored. A later token is shown without it,
unless an existing connection string is given that includes it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from z4j import clock
from z4j.exceptions import BadInput, NotFound
from z4j.rules.permissions import METRICS, PACKAGES, ROLES, weaker
from z4j.store.access import tokens, users
from z4j.store.fleet import apps
from z4j.store.sqlite.db import Connection, Store
from z4j.web.auth.authentication import check_name, hash_secret

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
HINT_LETTERS = 8


@dataclass(frozen=True, slots=True)
class Connect:
    """A connection string, shown once. `has_seal_key` is False when the operator must add the key."""

    app: str
    url: str
    token_id: int
    has_seal_key: bool


def key_id(seal_key: str) -> str:
    """Returns the ID of a seal key. Raises BadInput when it is not valid."""
    try:
        secret = base64.urlsafe_b64decode(seal_key + "=" * (-len(seal_key) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadInput("The seal key in this connection string is not valid.", "Copy the whole connection string.") from error
    if len(secret) != 32:
        raise BadInput("The seal key in this connection string is incomplete.", "Copy the whole connection string.")
    return hashlib.sha256(secret).hexdigest()[:8]


async def connect_app(
    store: Store, app: str, host: str, by: str, *, seal_from: str = "", label: str = "", is_tls: bool = False, pins: Sequence[str] = ()
) -> Connect:
    """Creates a connection string for `app`, and the app if it does not exist. `host` is `address:port` for agents; `pins` are
    those of the keys that they may trust (with TLS; none for a certificate of a CA).

    Raises BadInput when `seal_from` includes the key of another app, and for a disabled app.
    """
    app, at = check_name(app), clock.now()
    token = "z4a_" + secrets.token_urlsafe(32)
    given = (urlsplit(seal_from.strip()).username or "").partition(".")[2] if seal_from else ""
    if seal_from and not given:
        raise BadInput("This connection string has no seal key.", "Use the one that was shown with the app's first token.")
    fresh = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")

    def create(db: Connection) -> tuple[int, str]:
        existing = apps.find_app(db, app)
        if existing is None:
            seal = given or fresh
            app_id = apps.add_app(db, app, key_id(seal), at)
        elif existing.disabled_at is not None:
            raise BadInput(f"The app {existing.name} is disabled. No changes were made.", "Enable it under Settings, Apps.")
        elif given and existing.seal_key_id and key_id(given) != existing.seal_key_id:
            raise BadInput(f"This connection string has the seal key of another app, not of {existing.name}. No changes were made.")
        elif not existing.seal_key_id:  # imported, or created before apps had keys
            seal, app_id = given or fresh, existing.id
            apps.set_seal_key(db, app_id, key_id(seal))
        else:
            seal, app_id = given, existing.id
        token_id = tokens.add_token(
            db, kind="agent", hash=hash_secret(token), label=label or app, hint=token[:HINT_LETTERS], app_id=app_id, role=None, at=at, by=by
        )
        return token_id, seal

    token_id, seal = await store.write(create, durable=True)
    url = f"{'z4j' if is_tls else 'z4j+ws'}://{token}{'.' + seal if seal else ''}@{host}{'?pin=' + ','.join(pins) if pins else ''}"
    return Connect(app, url, token_id, bool(seal))


async def make_index_token(store: Store, label: str, hours: int, by: str, owner: str = "") -> tuple[int, str]:
    """Creates a token that reads the appliance's packages and nothing else; returns (id, token). Raises BadInput."""
    if not 0 < hours <= 24 * 366:
        raise BadInput("An index token can be valid for 1 hour to 366 days. No token was created.")
    return await _add_api_token(store, label, PACKAGES, hours * HOUR_US, "z4p_", by, owner)


async def make_api_token(store: Store, label: str, role: str, days: int | None, by: str, owner: str = "") -> tuple[int, str]:
    """Creates an API token and returns (id, token). `owner` is the person it belongs to: it is revoked with them and never has more rights.

    Raises BadInput for an unknown role, and for one that its owner does not have; NotFound when the owner does not exist."""
    if role not in (*ROLES, METRICS):
        raise BadInput(f"Unknown role {role!r}. No token was created.", f"Use one of {', '.join((*ROLES, METRICS))}.")
    if days is not None and not 0 < days <= 3_650:
        raise BadInput("A token can be valid for 1 to 3,650 days, or without expiry. No token was created.")
    return await _add_api_token(store, label, role, days * DAY_US if days else None, "z4k_", by, owner)


async def _add_api_token(store: Store, label: str, role: str, valid_us: int | None, prefix: str, by: str, owner: str) -> tuple[int, str]:
    label, at, token = check_name(label), clock.now(), prefix + secrets.token_urlsafe(32)
    expires_at = at + valid_us if valid_us else None

    def create(db: Connection) -> int:
        person = users.find_user(db, owner) if owner else None
        if owner and (person is None or person.disabled_at is not None):
            raise NotFound(f"There is no active user {owner}. No changes were made.", "`z4j user list` lists all users.")
        if person is not None and weaker(role, person.role) != role:
            raise BadInput(f"{person.name} is {person.role}, and a token cannot have more rights than its owner. No changes were made.")
        return tokens.add_token(
            db, kind="api", hash=hash_secret(token), label=label, hint=token[:HINT_LETTERS], app_id=None, role=role, at=at, by=by,
            expires_at=expires_at, owner_id=person.id if person else None,
        )  # fmt: skip

    return await store.write(create, durable=True), token
