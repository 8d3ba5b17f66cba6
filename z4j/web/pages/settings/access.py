# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings: apps with their connection strings, tokens, users. A secret is shown only on the page that created it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, NotFound, WrongState, Z4jError
from z4j.rules.permissions import ROLES, is_allowed
from z4j.store.access import tokens, users
from z4j.store.access.tokens import TokenRow
from z4j.store.access.users import UserRow
from z4j.store.fleet import apps
from z4j.store.fleet.apps import AppRow
from z4j.store.sqlite.db import Connection
from z4j.web.auth.authentication import check_name, check_password
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.settings.connection_strings import make_api_token
from z4j.web.services import services


@dataclass(frozen=True, slots=True)
class Person:
    """A user without the hash of the password."""

    id: int
    name: str
    role: str
    created_at: int
    disabled_at: int | None
    is_me: bool


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """The context of settings/*.html; each page sets the fields that it shows. `secret` is shown only once."""

    shell: Shell
    tab: str
    may_change: bool
    apps: tuple[AppRow, ...] = ()
    tokens: tuple[TokenRow, ...] = ()
    people: tuple[Person, ...] = ()
    secret: str = ""
    days_kept: int = 0
    gigabytes_kept: float = 0


async def home(request: Request) -> Response:
    """GET /settings."""
    return RedirectResponse("/settings/apps", 303)


async def _page(request: Request, tab: str, **more: Any) -> SettingsPage:
    settings = services(request).settings
    return SettingsPage(
        shell=await make_shell(request, "settings"), tab=tab, may_change=is_allowed(request.scope["identity"].role, "admin"),
        days_kept=settings.days_kept, gigabytes_kept=settings.gigabytes_kept, **more,
    )  # fmt: skip


async def record_action(request: Request, action: str, target: str, **detail: Any) -> None:
    """Writes an audit row of what the person has done."""
    server, identity = services(request), request.scope["identity"]
    await server.audit.note(
        server.store, at=clock.now(), actor=identity.name, role=identity.role, action=action, target=target, detail=detail,
        address=identity.address,
    )  # fmt: skip
    server.live.changed(("changes",))


def _refused(path: str, error: Z4jError) -> Response:
    return see_other(path, Notice("bad", error.explanation))


# -- apps ------------------------------------------------------------------------------------------------------------------


async def apps_page(request: Request) -> Response:
    """GET /settings/apps."""
    rows = tuple(await apps.list_apps(services(request).store))
    return render(request, "settings/apps.html", await _page(request, "apps", apps=rows))


async def disable_app(request: Request) -> Response:
    """POST /settings/apps/{id}/disable: disconnects its agents, which cannot connect again."""
    return await _set_app_disabled(request, "disable_app", clock.now())


async def enable_app(request: Request) -> Response:
    """POST /settings/apps/{id}/enable."""
    return await _set_app_disabled(request, "enable_app", None)


async def _set_app_disabled(request: Request, action: str, at: int | None) -> Response:
    server, id = services(request), request.path_params["id"]
    name = await server.store.write(lambda db: apps.set_disabled(db, id, at), durable=True)
    if name is None:
        return _refused("/settings/apps", WrongState("The app does not exist, or it is already in this state. No changes were made."))
    if at is not None:
        server.hub.end(lambda link: link.app_id == id)
    await record_action(request, action, f"app:{name}")
    result = (
        "was disabled. Its agents were disconnected and cannot connect." if at is not None else "was enabled. Its agents can connect again."
    )
    return see_other("/settings/apps", Notice("good", f"{name} {result}"))


# -- tokens ----------------------------------------------------------------------------------------------------------------


async def tokens_page(request: Request) -> Response:
    """GET /settings/tokens."""
    rows = tuple(await tokens.list_tokens(services(request).store))
    return render(request, "settings/tokens.html", await _page(request, "tokens", tokens=rows))


async def add_token(request: Request) -> Response:
    """POST /settings/tokens: creates an API token, which is shown once."""
    form, store = await read_form(request), services(request).store
    label, role, days = form.get("label", ""), form.get("role", ""), form.get("days", "")
    try:
        if days and not (days.isascii() and days.isdigit() and len(days) < 6):
            raise BadInput("The number of days must be an integer, or empty for a token that does not expire. No token was created.")
        me = request.scope["identity"]
        if me.kind != "session":
            raise NotAllowed("An API token cannot create another token. No changes were made.", "Sign in as a user.")
        id, secret = await make_api_token(store, label, role, int(days) if days else None, me.name, me.name)
    except (BadInput, NotAllowed, NotFound) as error:
        return _refused("/settings/tokens", error)
    await record_action(request, "create_token", f"api:{label}", token=id, role=role)
    rows = tuple(await tokens.list_tokens(store))
    return render(request, "settings/tokens.html", await _page(request, "tokens", tokens=rows, secret=secret))


async def revoke_token(request: Request) -> Response:
    """POST /settings/tokens/{id}/revoke."""
    id, at = request.path_params["id"], clock.now()
    done = await services(request).store.write(lambda db: tokens.revoke_token(db, id, at), durable=True)
    if done is None:
        return _refused("/settings/tokens", NotFound("This token does not exist or was already revoked. No changes were made."))
    kind, label, _ = done
    await record_action(request, "revoke_token", f"{kind}:{label}", token=id)
    services(request).hub.end(lambda link: link.token_id == id)
    note = " Its agents were disconnected." if kind == "agent" else ""
    return see_other("/settings/tokens", Notice("good", f"The token of {label} was revoked.{note}"))


# -- users -----------------------------------------------------------------------------------------------------------------


async def users_page(request: Request) -> Response:
    """GET /settings/users."""
    me = request.scope["identity"].name
    people = tuple(
        Person(row.id, row.name, row.role, row.created_at, row.disabled_at, row.name == me)
        for row in await users.list_users(services(request).store)
    )
    return render(request, "settings/users.html", await _page(request, "users", people=people))


async def add_user(request: Request) -> Response:
    """POST /settings/users."""
    form, server = await read_form(request), services(request)
    try:
        name, role = check_name(form.get("name", "")), _role(form.get("role", ""))
        hashed = await server.auth.hash_password(check_password(form.get("password", "")))

        def add(db: Connection) -> None:
            if users.find_user(db, name) is not None:
                raise WrongState(f"A user {name} already exists. No changes were made.")
            users.add_user(db, name, hashed, role, clock.now())

        await server.store.write(add, durable=True)
    except (BadInput, WrongState) as error:
        return _refused("/settings/users", error)
    await record_action(request, "add_user", f"user:{name}", role=role)
    return see_other("/settings/users", Notice("good", f"{name} was added as {role}."))


async def set_role(request: Request) -> Response:
    """POST /settings/users/{id}/role."""
    role = (await read_form(request)).get("role", "")

    def change(db: Connection, user: UserRow) -> str:
        if _role(role) != "admin":
            _keep_an_admin(db, user)
        users.set_role(db, user.id, role)
        return f"The role of {user.name} is now {role}."

    return await _change(request, "set_role", change, role=role)


async def disable_user(request: Request) -> Response:
    """POST /settings/users/{id}/disable: ends every session."""
    at = clock.now()

    def change(db: Connection, user: UserRow) -> str:
        _keep_an_admin(db, user)
        users.set_disabled(db, user.id, at)
        return f"{user.name} was disabled and signed out everywhere. Their API tokens were revoked."

    return await _change(request, "disable_user", change)


async def enable_user(request: Request) -> Response:
    """POST /settings/users/{id}/enable."""

    def change(db: Connection, user: UserRow) -> str:
        users.set_disabled(db, user.id, None)
        return f"{user.name} was enabled."

    return await _change(request, "enable_user", change)


async def _change(request: Request, action: str, change: Any, **detail: Any) -> Response:
    def write(db: Connection) -> tuple[str, str]:
        user = users.get_user(db, request.path_params["id"])
        if user is None:
            raise NotFound("This user does not exist. No changes were made.")
        return user.name, change(db, user)

    try:
        name, notice = await services(request).store.write(write, durable=True)
    except (BadInput, NotFound, WrongState) as error:
        return _refused("/settings/users", error)
    await record_action(request, action, f"user:{name}", **detail)
    return see_other("/settings/users", Notice("good", notice))


def _role(role: str) -> str:
    if role not in ROLES:
        raise BadInput("Unknown role. No changes were made.", f"Use one of {', '.join(ROLES)}.")
    return role


def _keep_an_admin(db: Connection, user: UserRow) -> None:
    if user.role == "admin" and user.disabled_at is None and users.count_admins(db) == 1:
        raise WrongState(f"{user.name} is the only administrator. No changes were made.", "Add another one first.")
