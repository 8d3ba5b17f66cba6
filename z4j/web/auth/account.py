# SPDX-License-Identifier: AGPL-3.0-or-later
"""The account of a person: time zone and two-factor authentication. The secret and the recovery codes are shown only on the page that
created them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.exceptions import BadInput, NotAllowed, StoreError, TooMany, WrongState, Z4jError
from z4j.rules.permissions import is_allowed
from z4j.rules.schedules.due_times import zones
from z4j.rules.totp import base32, enrol_uri, in_groups
from z4j.store.access import totp, users
from z4j.store.access.users import UserRow
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.frame.times import browser_zone, is_zone
from z4j.web.services import services

PATH = "/settings/account"
EXPECTED = (BadInput, NotAllowed, TooMany, WrongState, StoreError)


@dataclass(frozen=True, slots=True)
class QrCode:
    """The dark squares of a QR code as one SVG path in a square of `size` units."""

    size: int
    path: str


@dataclass(frozen=True, slots=True)
class AccountPage:
    """The context of settings/account.html. `secret` and `qr` are set until the first code is confirmed; `codes` is set once."""

    shell: Shell
    tab: str
    days_kept: int
    gigabytes_kept: float
    has_tabs: bool
    zone: str
    """The time zone that was chosen, "" for that of the browser."""
    browser_zone: str
    zones: tuple[str, ...]
    on_since: int | None = None
    codes_left: int = 0
    codes: tuple[str, ...] = ()
    secret: str = ""
    qr: QrCode | None = None
    error: str = ""


async def show(request: Request) -> Response:
    """GET /settings/account."""
    return await _answer(request, await _me(request))


async def choose_zone(request: Request) -> Response:
    """POST /settings/account/zone: in which time zone times are shown to this person; "" for that of the browser."""
    me, zone = await _me(request), (await read_form(request)).get("zone", "")
    if zone and not is_zone(zone):
        return _refused(BadInput(f"Unknown time zone “{zone[:60]}”. No changes were made.", "Choose one of the list."))
    server = services(request)
    await server.store.write(lambda db: users.set_time_zone(db, me.id, zone), durable=True)
    await server.audit.note(
        server.store, at=clock.now(), actor=me.name, role=me.role, action="set_time_zone", target=f"user:{me.name}",
        outcome="done", detail={"zone": zone or "browser"}, address=request.scope["identity"].address,
    )  # fmt: skip
    shown = zone or f"{browser_zone(request)}, the time zone of your browser"
    return see_other(PATH, Notice("good", f"Times are shown in {shown}."))


async def begin(request: Request) -> Response:
    """POST /settings/account/totp: creates a secret and shows it as a QR code and as text; it becomes active with the first code."""
    me = await _me(request)
    try:
        secret = await services(request).auth.second_step.begin(me)
    except EXPECTED as error:
        return _refused(error)
    return await _enrolling(request, me, secret)


async def confirm(request: Request) -> Response:
    """POST /settings/account/totp/confirm: checks the first code and shows the recovery codes."""
    me, step = await _me(request), services(request).auth.second_step
    code = (await read_form(request)).get("code", "")
    try:
        codes = await step.confirm(me, code, request.scope["identity"].address)
    except (BadInput, NotAllowed, TooMany) as error:
        secret = await step.pending(me.id)
        return await _enrolling(request, me, secret, error) if secret else _refused(error)
    except EXPECTED as error:
        return _refused(error)
    return await _answer(request, me, codes=tuple(codes))


async def renew_codes(request: Request) -> Response:
    """POST /settings/account/totp/codes: replaces the recovery codes; requires a code."""
    me, code = await _me(request), (await read_form(request)).get("code", "")
    try:
        codes = await services(request).auth.second_step.renew_codes(me, code, request.scope["identity"].address)
    except EXPECTED as error:
        return _refused(error)
    return await _answer(request, me, codes=tuple(codes))


async def turn_off(request: Request) -> Response:
    """POST /settings/account/totp/off; requires a code."""
    me, code = await _me(request), (await read_form(request)).get("code", "")
    try:
        await services(request).auth.second_step.turn_off(me, code, request.scope["identity"].address)
    except EXPECTED as error:
        return _refused(error)
    return see_other(PATH, Notice("good", "Two-factor authentication was turned off."))


def qr_code(text: str) -> QrCode:
    """Returns `text` as a QR code with its quiet zone."""
    import segno  # 1 MB, for the one page that needs it

    rows: Sequence[Sequence[int]] = [list(row) for row in segno.make(text, error="m", micro=False).matrix_iter(border=4)]
    parts = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            width = 0
            while x + width < len(row) and row[x + width]:
                width += 1
            if width:
                parts.append(f"M{x} {y}h{width}v1h-{width}z")
            x += width or 1
    return QrCode(len(rows), "".join(parts))


async def _me(request: Request) -> UserRow:
    """Returns the person of the session. Raises NotAllowed for API tokens."""
    user_id = request.scope["identity"].user_id
    me = await services(request).store.write(lambda db: users.get_user(db, user_id)) if user_id else None
    if me is None:
        raise NotAllowed("An API token has no account. No changes were made.", "Sign in as a user.")
    return me


async def _enrolling(request: Request, me: UserRow, secret: bytes, error: Z4jError | None = None) -> Response:
    uri = enrol_uri(secret, me.name, request.headers.get("host", "").partition(":")[0])
    message = error.explanation if error else ""
    status = error.status if error else 200
    return await _answer(request, me, status, secret=in_groups(base32(secret)), qr=qr_code(uri), error=message)


async def _answer(request: Request, me: UserRow, status: int = 200, **more: Any) -> Response:
    server = services(request)
    row = await totp.find_totp(server.store, me.id)
    page = AccountPage(
        shell=await make_shell(request, "settings"), tab="account", days_kept=server.settings.days_kept,
        gigabytes_kept=server.settings.gigabytes_kept, has_tabs=is_allowed(me.role, "auditor"),
        zone=request.scope["identity"].time_zone, browser_zone=browser_zone(request), zones=zones(),
        on_since=row.confirmed_at if row else None, codes_left=await totp.count_recovery_codes(server.store, me.id), **more,
    )  # fmt: skip
    return render(request, "auth/account.html", page, status)


def _refused(error: Z4jError) -> Response:
    return see_other(PATH, Notice("bad", error.explanation))
