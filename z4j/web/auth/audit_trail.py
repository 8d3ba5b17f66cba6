# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records in the audit log what no endpoint records itself: every refused change of a known person, and every export. Pure ASGI, around
`Guard`, so that its refusals are recorded too.

A refusal is detected by its status, by the notice in the answer to a form, or by `refused`. An export is recorded before its first byte
is sent. An audit row that cannot be written does not stop the answer: it is logged, and counted in the next row.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from z4j import clock, logs
from z4j.agents.audit_witnesses import Witnesses
from z4j.exceptions import StoreError
from z4j.operations.signed_links import without_code
from z4j.rules.audit.repeats import WINDOW_US, Count, Key, Repeats
from z4j.store.access.audit import AuditLog, outcomes
from z4j.store.sqlite.db import Store
from z4j.web.auth import checkpoint_cookie
from z4j.web.auth.authentication import NOBODY, Identity
from z4j.web.frame.forms import NOTICE_COOKIE

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
DOCUMENTS: Final = frozenset({"/api/v1/openapi.json", "/docs/grafana.json"})
"""Hold no data."""
REFUSAL: Final = "refusal"
LONGEST: Final = 300


def refused(connection: HTTPConnection, why: str) -> None:
    """Marks a change as refused where the status of the answer does not show it: a form that is shown again."""
    connection.scope[REFUSAL] = why


def is_export(method: str, path: str, headers: Headers) -> bool:
    """Whether an answer exports data."""
    if method != "GET" or path in DOCUMENTS:
        return False
    return path.endswith((".csv", ".json")) or path.startswith("/api/") or headers.get("content-disposition", "").startswith("attachment")


class Trail:
    """Writes rows and counts their repetitions. One per server."""

    def __init__(self, store: Store, log: AuditLog) -> None:
        self.store = store
        self.log = log
        self.repeats = Repeats()
        self.unwritten = 0
        self._flush: asyncio.Task[None] | None = None

    async def note(self, identity: Identity, action: str, target: str, outcome: str, detail: dict[str, Any]) -> None:
        """Writes a row, or counts a repetition."""
        at = clock.now()
        if self.repeats.is_over(at):
            await self.flush()
        why = json.dumps(detail, sort_keys=True)
        key = Key(identity.name, identity.role, action, target, outcome, why, identity.address)
        if self.repeats.is_row(key, at):
            await self._write(key, at, detail)
        elif self._flush is None:
            self._flush = asyncio.create_task(self._flush_later())

    async def flush(self) -> None:
        """Writes everything that was counted, as one row each."""
        for key, count in self.repeats.take():
            await self._write(key, clock.now(), {**(json.loads(key.why) if key.why else {}), **_counted(count)})

    async def close(self) -> None:
        """Flushes when the server stops."""
        if self._flush is not None:
            self._flush.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flush
        await self.flush()

    async def _flush_later(self) -> None:
        await asyncio.sleep(WINDOW_US / 1_000_000)
        self._flush = None
        await self.flush()

    async def _write(self, key: Key, at: int, detail: dict[str, Any]) -> None:
        if self.unwritten:
            detail = {**detail, "rows_not_written_before": self.unwritten}
        try:
            await self.log.record(
                self.store, at=at, actor=key.actor, role=key.role, action=key.action, target=key.target, outcome=key.outcome,
                detail=detail, address=key.address,
            )  # fmt: skip
            self.unwritten = 0
        except StoreError as error:
            self.unwritten += 1
            logs.audit_not_written(key.action, key.target, error.message)


class AuditTrail:
    """The middleware."""

    def __init__(self, app: ASGIApp, trail: Trail, witnesses: Witnesses) -> None:
        self.app = app
        self.trail = trail
        self.witnesses = witnesses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self.app(scope, receive, send)
            return
        written: list[str] = []
        token = outcomes.set(written)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and (identity := scope.get("identity", NOBODY)).is_known:
                await self._record(scope, identity, message, written)
                await self._remember(scope, identity, message)
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        finally:
            outcomes.reset(token)

    async def _record(self, scope: Scope, identity: Identity, message: Message, written: list[str]) -> None:
        method, path, status, headers = scope["method"], without_code(scope["path"]), message["status"], Headers(raw=message["headers"])
        if method in SAFE:
            if not is_export(method, path, headers) or status not in (200, 403):
                return
            query = unquote_plus(scope["query_string"].decode("latin-1"))[:LONGEST]  # as text, so that what is masked is found in it
            outcome, detail = ("done", {}) if status == 200 else ("refused", {"status": status})
            await self.trail.note(identity, "export", path.removeprefix("/"), outcome, detail | ({"query": query} if query else {}))
            return
        why = scope.get(REFUSAL) or _bad_notice(headers)
        if (status < 400 and not why) or any(outcome != "done" for outcome in written):
            return  # it succeeded, or the refusal was already recorded
        detail = {"method": method, "status": status, "why": str(why or "")[:LONGEST]}
        await self.trail.note(identity, "request", path, "failed" if status >= 500 else "refused", detail)

    async def _remember(self, scope: Scope, identity: Identity, message: Message) -> None:
        """Checks the checkpoint that the browser stores, and gives it the newest one."""
        if identity.kind != "session":
            return
        kept = checkpoint_cookie.decode(HTTPConnection(scope).cookies.get(checkpoint_cookie.COOKIE, ""))
        if kept == self.witnesses.audit_log.newest:
            return
        if kept is not None:
            try:
                await self.witnesses.check_browser(identity.name, kept)
            except StoreError as error:
                logs.audit_not_written("audit_head_missing", "appliance", error.message)
                return
        if (newest := self.witnesses.audit_log.newest) is None:
            return
        cookie: SimpleCookie = SimpleCookie({checkpoint_cookie.COOKIE: checkpoint_cookie.encode(newest)})
        morsel = cookie[checkpoint_cookie.COOKIE]
        for name, value in (("path", "/"), ("samesite", "strict"), ("max-age", checkpoint_cookie.KEPT_S), ("httponly", True)):
            morsel[name] = value
        if scope.get("scheme") == "https":
            morsel["secure"] = True
        MutableHeaders(scope=message).append("set-cookie", morsel.OutputString())


def _counted(count: Count) -> dict[str, int]:
    return {"repeated": count.counted, "first_at": count.first_at, "last_at": count.last_at}


def _bad_notice(headers: Headers) -> str:
    """Returns the text of a refusal notice in an answer, "" where there is none."""
    for value in headers.getlist("set-cookie"):
        if not value.startswith(f"{NOTICE_COOKIE}="):
            continue
        try:
            kind, text, _ = json.loads(unquote(SimpleCookie(value)[NOTICE_COOKIE].value))
        except (ValueError, KeyError, CookieError):
            continue
        if kind in ("bad", "warn"):
            return str(text)
    return ""
