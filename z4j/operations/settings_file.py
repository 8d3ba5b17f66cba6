# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings as one JSON file: apps without secrets, users without passwords, the schedules of z4j itself, targets of forwarding, links.

The file contains no secret: tokens, seal keys and passwords are not in it, and arguments of schedules are as pages show them. What already
exists under the same name is left as it is, so a file can be imported twice.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from z4j import __version__, clock
from z4j.exceptions import BadInput, WrongState, Z4jError
from z4j.operations.schedule_request import ScheduleRequest
from z4j.rules.forwarding.target import TargetRequest, check_target, kind_of, patterns_of, place_of
from z4j.rules.permissions import ROLES
from z4j.rules.tasks.link_templates import MAX_LINKS, checked
from z4j.store.access import users
from z4j.store.annotations import link_templates
from z4j.store.fleet import apps
from z4j.store.forwarding import targets
from z4j.store.forwarding.targets import Target
from z4j.store.schedules import schedules
from z4j.store.schedules.schedules import ScheduleRow
from z4j.store.sqlite.db import Connection, Store
from z4j_agent.wire.redaction import MASK

FORMAT: Final = 1
KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
LARGEST: Final = 64 * 1024 * 1024
IMPORTED: Final = "imported with the settings of another installation"


class AppItem(msgspec.Struct, frozen=True):
    """`seal_key_id` names the key that the app's connection strings contain; the key itself is not in the file."""

    name: str
    seal_key_id: str = ""
    is_disabled: bool = False


class UserItem(msgspec.Struct, frozen=True):
    """A user without a password."""

    name: str
    role: str
    is_disabled: bool = False


class ScheduleItem(msgspec.Struct, frozen=True):
    """A schedule of z4j itself; times are microseconds UTC."""

    app: str
    environment: str
    engine: str
    name: str
    kind: str
    expression: str
    timezone: str
    task_name: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    queue: str = ""
    broker: str = ""
    is_enabled: bool = True
    catch_up: str = "skip"
    overlap: str = "allow"
    jitter_s: float = 0.0
    starts_at: int | None = None
    ends_at: int | None = None


class ForwardItem(msgspec.Struct, frozen=True):
    """A target of forwarding: without key and CA, and of a webhook without its address, which may be a secret."""

    name: str
    kind: str
    address: str = ""
    audit: bool = True
    alerts: bool = False
    actions: list[str] = []


class LinkItem(msgspec.Struct, frozen=True):
    """A link of the pages of tasks, see rules/link_templates.py."""

    name: str
    url: str


class SettingsFile(msgspec.Struct, frozen=True):
    """The whole file. A field that this version does not know is ignored."""

    z4j_settings: int
    version: str = ""
    apps: list[AppItem] = []
    users: list[UserItem] = []
    schedules: list[ScheduleItem] = []
    forwarding: list[ForwardItem] = []
    links: list[LinkItem] = []


@dataclass(frozen=True, slots=True)
class Imported:
    """The result for one entry: `added`, `exists` or `refused`, with a note for the operator."""

    kind: str
    name: str
    result: str
    note: str = ""


class Creates(Protocol):
    """Who creates schedules (`ScheduleService.create`)."""

    async def __call__(self, request: ScheduleRequest) -> object: ...


async def export_settings(store: Store) -> bytes:
    """Returns the file."""
    found = SettingsFile(
        FORMAT,
        __version__,
        [AppItem(row.name, row.seal_key_id, row.disabled_at is not None) for row in await apps.list_apps(store)],
        [UserItem(row.name, row.role, row.disabled_at is not None) for row in await users.list_users(store)],
        [_item(row) for row in await schedules.list_schedules(store) if row.is_own and row.gone_at is None],
        [_forward_item(each) for each in await targets.list_targets(store)],
        [LinkItem(link.name, link.url) for link in await link_templates.list_link_templates(store)],
    )
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def _item(row: ScheduleRow) -> ScheduleItem:
    return ScheduleItem(
        app=row.app, environment=row.environment, engine=row.engine, name=row.name, kind=row.kind, expression=row.expression,
        timezone=row.timezone, task_name=row.task_name, args=json.loads(row.args), kwargs=json.loads(row.kwargs), queue=row.queue,
        broker=row.broker, is_enabled=row.is_enabled, catch_up=row.catch_up, overlap=row.overlap, jitter_s=row.jitter_us / 1_000_000,
        starts_at=row.starts_at, ends_at=row.ends_at,
    )  # fmt: skip


def _forward_item(target: Target) -> ForwardItem:
    address = "" if target.kind == "webhook" else target.shown
    return ForwardItem(target.name, target.kind, address, target.has_audit, target.has_alerts, list(target.actions))


def _request_of(item: ForwardItem) -> TargetRequest:
    """Raises BadInput."""
    patterns = patterns_of(" ".join(item.actions))
    request = TargetRequest(
        item.name, kind_of(item.kind), item.address if item.kind != "webhook" else "", "", "", item.audit, item.alerts, patterns
    )  # fmt: skip
    check_target(request)
    if request.kind != "webhook":
        place_of(request.kind, request.url)
    return request


def read_settings(content: bytes) -> SettingsFile:
    """Raises BadInput for a file of another kind or format; nothing is imported then."""
    if len(content) > LARGEST:
        raise BadInput("The file is too large to be a settings file. No changes were made.")
    try:
        found = msgspec.json.decode(content, type=SettingsFile)
    except msgspec.MsgspecError as error:
        raise BadInput(f"This is not a file of `z4j export-settings`: {error}. No changes were made.") from error
    if found.z4j_settings != FORMAT:
        raise BadInput(f"The file has format {found.z4j_settings}, but this version reads format {FORMAT}. No changes were made.")
    for name in (*(app.name for app in found.apps), *(user.name for user in found.users)):
        if name != name.strip() or not 0 < len(name) <= 60 or not name.isprintable():
            raise BadInput(f"The file contains the name {name[:60]!r}; a name has 1 to 60 printable characters. No changes were made.")
    for app in found.apps:
        if app.seal_key_id and not KEY_ID.fullmatch(app.seal_key_id):
            raise BadInput(f"The seal key ID of {app.name} in the file is not valid. No changes were made.")
    for item in found.forwarding:
        _request_of(item)
    for user in found.users:
        if user.role not in ROLES:
            raise BadInput(f"The file has the unknown role {user.role[:20]!r} for {user.name[:60]}. No changes were made.")
    if len(found.links) > MAX_LINKS:
        raise BadInput(f"The file has more than {MAX_LINKS} links. No changes were made.")
    for link in found.links:
        checked(link.name, link.url)
    return found


async def import_settings(store: Store, found: SettingsFile, create: Creates, unusable_hash: str) -> list[Imported]:
    """Adds what does not exist yet. `unusable_hash` is the password hash of new users: nobody knows its password."""
    at = clock.now()
    result = await store.write(lambda db: _add_people_and_apps(db, found, unusable_hash, at), durable=True)
    result += await store.write(lambda db: [_add_link(db, link, at) for link in found.links], durable=True)
    known = {(row.app, row.environment, row.name) for row in await schedules.list_schedules(store) if row.is_own}
    for item in found.schedules:
        result.append(
            Imported("schedule", item.name, "exists") if (item.app, item.environment, item.name) in known else await _add(item, create)
        )
    return result


def _add_people_and_apps(db: Connection, found: SettingsFile, unusable_hash: str, at: int) -> list[Imported]:
    result = []
    for app in found.apps:
        if apps.find_app(db, app.name) is not None:
            result.append(Imported("app", app.name, "exists"))
            continue
        id = apps.add_app(db, app.name, app.seal_key_id, at)
        if app.is_disabled:
            apps.set_disabled(db, id, at)
        result.append(Imported("app", app.name, "added", "its agents need a new connection string"))
    for item in found.forwarding:
        request = _request_of(item)
        made = targets.put_target(
            db, None, request, shown=request.url, from_beginning=False, is_enabled=False, actor=IMPORTED, at=at
        )  # fmt: skip
        note = "disabled: enter its address" if item.kind == "webhook" else "disabled: enable it under Settings, Forwarding"
        result.append(Imported("target", item.name, "exists") if made is None else Imported("target", item.name, "added", note))
    for user in found.users:
        if users.find_user(db, user.name) is not None:
            result.append(Imported("user", user.name, "exists"))
            continue
        id = users.add_user(db, user.name, unusable_hash, user.role, at)
        if user.is_disabled:
            users.set_disabled(db, id, at)
        result.append(Imported("user", user.name, "added", f"without a password: `z4j user link {user.name}`"))
    return result


def _add_link(db: Connection, item: LinkItem, at: int) -> Imported:
    if link_templates.has_link_template(db, item.name):
        return Imported("link", item.name, "exists")
    try:
        link_templates.add_link_template(db, checked(item.name, item.url), at)
    except WrongState as error:
        return Imported("link", item.name, "refused", error.explanation)
    return Imported("link", item.name, "added")


async def _add(item: ScheduleItem, create: Creates) -> Imported:
    """A schedule with masked arguments is added without them and disabled."""
    is_masked = MASK in json.dumps([item.args, item.kwargs], ensure_ascii=False)
    request = ScheduleRequest(
        app=item.app, environment=item.environment, scheduler=schedules.OWN, engine=item.engine, name=item.name, kind=item.kind,
        expression=item.expression, timezone=item.timezone, task_name=item.task_name, args=[] if is_masked else item.args,
        kwargs={} if is_masked else item.kwargs, queue=item.queue, is_enabled=item.is_enabled and not is_masked, catch_up=item.catch_up,
        overlap=item.overlap, jitter_s=item.jitter_s, starts_at=item.starts_at, ends_at=item.ends_at, broker=item.broker,
    )  # fmt: skip
    try:
        await create(request)
    except Z4jError as error:
        return Imported("schedule", item.name, "refused", error.explanation)
    return Imported("schedule", item.name, "added", "disabled: its arguments contain secrets; enter them again" if is_masked else "")
