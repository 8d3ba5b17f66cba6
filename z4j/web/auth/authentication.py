# SPDX-License-Identifier: AGPL-3.0-or-later
"""Authentication: passwords, sessions, one-time links, API tokens.

Sessions are rows in the database and can be ended there; the cookie is only the signed name of one. Secrets are compared by hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from argon2 import PasswordHasher
from itsdangerous import BadSignature, URLSafeSerializer

from z4j import clock, files, logs
from z4j.clock import DAY_US
from z4j.exceptions import BadInput, NotAllowed, StoreError, TooMany
from z4j.rate_limit import spread
from z4j.rules.addresses import limit_key
from z4j.rules.permissions import weaker
from z4j.store.access import sessions, tokens, users
from z4j.store.access.audit import AuditLog
from z4j.store.access.users import UserRow
from z4j.store.sqlite.db import Connection, Store
from z4j.web.auth.login_limits import REFUSED_S, LoginLimits
from z4j.web.auth.password_hashing import PasswordHashing
from z4j.web.auth.totp import SecondStep

COOKIE: Final = "z4j_session"
SESSION_US: Final = 7 * DAY_US
IDLE_US: Final = 12 * 3_600_000_000
TOUCH_US: Final = 60_000_000
TOUCH_WITHIN_S: Final = 0.1
SETUP_US: Final = 15 * 60_000_000
TICKET_US: Final = 5 * 60_000_000
SHORTEST_PASSWORD: Final = 12
UNSTORED: Final = 100
FLOOR_S: Final = 0.3
"""Every sign-in takes at least this long, so that its duration does not reveal whether the name exists."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The author of a request. `address` is the network address of the client."""

    name: str
    role: str
    kind: Literal["session", "token", "link", "none"]
    address: str = ""
    user_id: int = 0
    time_zone: str = ""
    """In which this person reads times; "": in that of the browser."""
    news_at: int = 0
    """Up to when this person has read the news, microseconds UTC."""

    @property
    def is_known(self) -> bool:
        return self.kind != "none"


NOBODY: Final = Identity("", "", "none")


class CodeNeeded(Exception):
    """The password was correct and a code is required; `ticket` proves the first step for a few minutes."""

    def __init__(self, ticket: str) -> None:
        super().__init__("a code is required")
        self.ticket = ticket


class TicketOver(NotAllowed):
    """Too much time passed between password and code, or the account was changed in between."""

    def __init__(self) -> None:
        super().__init__("The sign-in has expired, or the account was changed.", "Sign in again.")


def hash_secret(secret: str) -> bytes:
    """Returns the hash under which a random secret is stored."""
    return hashlib.sha256(secret.encode()).digest()


def check_password(password: str) -> str:
    """Returns the password if it is allowed. Raises BadInput."""
    if len(password) < SHORTEST_PASSWORD:
        raise BadInput(
            f"The password has {len(password)} characters; at least {SHORTEST_PASSWORD} are required.", "Use a few random words."
        )
    if len(password) > 1_000:
        raise BadInput("The password is longer than 1,000 characters.")
    return password


def check_name(name: str) -> str:
    """Returns the trimmed name of a person or an app. Raises BadInput."""
    name = name.strip()
    if not name or len(name) > 60 or not name.isprintable():
        raise BadInput("A name must have 1 to 60 printable characters.")
    return name


class Auth:
    """One per process. `folder` holds the key that signs cookies."""

    def __init__(self, store: Store, audit: AuditLog, folder: Path) -> None:
        self.store = store
        self.audit = audit
        self._signer = URLSafeSerializer(_cookie_key(folder / "cookie.key"), salt="z4j session")
        self.passwords = PasswordHashing(PasswordHasher())
        self._touches: set[asyncio.Task[None]] = set()
        self.limits = LoginLimits(URLSafeSerializer(_cookie_key(folder / "cookie.key"), salt="z4j browser"))
        self.second_step = SecondStep(store, audit, folder)
        self._tickets = URLSafeSerializer(_cookie_key(folder / "cookie.key"), salt="z4j second step")
        self._unstored: dict[bytes, tuple[int, str, int, Callable[[Connection], None]]] = {}
        """Sessions that could not be stored: user, mark of the password, end, and what stores it."""
        self._nobody = self.passwords.unknown_hash()

    # -- who -----------------------------------------------------------------------------------------------------------
    async def identify(self, cookie: str | None, bearer: str, address: str) -> Identity:
        """Returns the person or API client of a request, or NOBODY."""
        at = clock.now()
        if bearer:
            token = await tokens.find_api_token(self.store, hash_secret(bearer), at)
            if token is None:
                return NOBODY
            if token.used_at is None or not 0 <= at - token.used_at <= TOUCH_US:
                await self._touch("last use of an API token", lambda db: tokens.touch_token(db, token.id, at))
            role = weaker(token.role, token.owner_role) if token.owner_role else token.role
            return Identity(token.label, role, "token", address)
        hash = self._session_hash(cookie)
        if hash is None:
            return NOBODY
        owner = await sessions.find_session(self.store, hash, at, at - IDLE_US)
        if owner is None:
            return await self._unstored_identity(hash, at, address)
        if not 0 <= at - owner.seen_at <= TOUCH_US:
            await self._touch("last use of a session", lambda db: sessions.touch_session(db, hash, at))
        return Identity(owner.name, owner.role, "session", address, owner.user_id, owner.time_zone, owner.news_at)

    async def is_still_known(self, cookie: str | None, bearer: str) -> bool:
        """Whether the person or token of an open stream may still read. Does not count as use."""
        at = clock.now()
        if bearer:
            return await tokens.find_api_token(self.store, hash_secret(bearer), at) is not None
        hash = self._session_hash(cookie)
        return hash is not None and await sessions.find_session(self.store, hash, at, at - IDLE_US) is not None

    async def _touch(self, what: str, fn: Callable[[Connection], None]) -> None:
        """Records a use, but does not wait long for it: a database that accepts no writes can still be read."""
        task = asyncio.create_task(self.store.note(what, fn))
        self._touches.add(task)
        task.add_done_callback(self._touches.discard)
        await asyncio.wait({task}, timeout=TOUCH_WITHIN_S)

    async def _unstored_identity(self, hash: bytes, at: int, address: str) -> Identity:
        """Returns the identity of a session that could not be stored when it started; it is stored now if possible."""
        kept = self._unstored.get(hash)
        if kept is None:
            return NOBODY
        user_id, mark, expires_at, add = kept
        user = await self.store.write(lambda db: users.get_user(db, user_id))
        if user is None or user.disabled_at is not None or mark != _mark(user) or expires_at < at:
            del self._unstored[hash]
            return NOBODY
        if await self.store.note("session", lambda db: (add(db), True)) is not None:
            self._unstored.pop(hash, None)
        return Identity(user.name, user.role, "session", address, user_id)

    def _session_hash(self, cookie: str | None) -> bytes | None:
        if not cookie or len(cookie) > 500:
            return None
        try:
            return hash_secret(str(self._signer.loads(cookie)))
        except BadSignature:
            return None

    # -- in and out ----------------------------------------------------------------------------------------------------
    async def sign_in(self, name: str, password: str, address: str, client: str, browser: str | None = None) -> str:
        """Returns the value of the session cookie. Raises NotAllowed (with one sentence for every cause), TooMany, or CodeNeeded when the
        password is correct and two-factor authentication is on. `browser` is the cookie of a browser that was used to sign in before."""
        began, least_s = time.monotonic(), FLOOR_S
        try:
            return await self._sign_in(name, password, address, client, browser)
        except TooMany:
            least_s = spread(min(REFUSED_S, FLOOR_S * 4))  # 0 in tests, which set the floor to 0
            raise
        finally:
            await asyncio.sleep(max(0.0, least_s - (time.monotonic() - began)))

    async def _sign_in(self, name: str, password: str, address: str, client: str, browser: str | None) -> str:
        known_user, key = self.limits.counted_by(browser, address)
        self.limits.claim(key)
        user = await self.store.write(lambda db: users.find_user(db, name.strip()[:60]))
        if known_user and (user is None or user.id != known_user):
            self.limits.release(key)  # this browser belongs to another user
            key = limit_key(address)
            self.limits.claim(key)
        try:
            hashed, is_known = user.password_hash if user else self._nobody, key.startswith("browser ")
            is_right = await self.passwords.verify(hashed, password[:1_000], may_wait=is_known)
        except TooMany:
            self.limits.release(key)  # it was not checked
            raise
        if user is None or not is_right or user.disabled_at is not None:
            await self._record(name.strip()[:60] or "?", "", "sign_in", "refused", address)
            raise NotAllowed("Name or password is wrong.", "After ten failed attempts, this address is blocked for a minute.")
        self.limits.release(key)
        if await self.second_step.is_on(user.id):
            raise CodeNeeded(str(self._tickets.dumps([user.id, clock.now() + TICKET_US, _mark(user)])))
        return await self._begin(user, address, client, "sign_in")

    async def browser_of(self, cookie: str, browser: str | None) -> str:
        """Returns the value of the cookie that identifies a browser after its sign-in; "" when it already has one."""
        hash, at = self._session_hash(cookie), clock.now()
        owner = await sessions.find_session(self.store, hash, at, at - IDLE_US) if hash else None
        if owner is None or self.limits.counted_by(browser, "")[0] == owner.user_id:
            return ""
        return self.limits.make_browser(owner.user_id)

    async def sign_in_with_code(self, ticket: str, code: str, address: str, client: str, browser: str | None = None) -> str:
        """Returns the value of the session cookie for the ticket of `CodeNeeded` and a code. Raises NotAllowed, TooMany, or TicketOver.

        Only a correct password gives a ticket, so attempts are not counted by address: wrong codes are counted by person, and separately
        for a browser that this person has used to sign in before."""
        user = await self._owner_of(ticket)
        known_user, key = self.limits.counted_by(browser, address)
        kind = await self.second_step.check(user, code, address, counted_by=key if known_user == user.id else "")
        return await self._begin(user, address, client, "sign_in", second_step=kind)

    async def _owner_of(self, ticket: str) -> UserRow:
        try:
            user_id, until, mark = self._tickets.loads(ticket[:500])
        except BadSignature as error:
            raise TicketOver from error
        user = await self.store.write(lambda db: users.get_user(db, user_id))
        if user is None or user.disabled_at is not None or until < clock.now() or mark != _mark(user):
            raise TicketOver
        return user

    async def sign_out(self, cookie: str | None, identity: Identity) -> None:
        """Ends the session on the server; the cookie is not valid afterwards."""
        hash = self._session_hash(cookie)
        if hash is None:
            return
        if self._unstored.pop(hash, None) is None:
            await self.store.write(lambda db: sessions.end_session(db, hash), durable=True)
        if identity.is_known:
            await self._record(identity.name, identity.role, "sign_out", "done", identity.address)

    async def use_login_link(self, secret: str, address: str, client: str) -> str:
        """Returns the value of the session cookie for a link that `z4j dev` created. Raises NotAllowed when it was used or has expired."""
        at, hash = clock.now(), hash_secret(secret)

        def use(db: Connection) -> UserRow | None:
            user_id = sessions.use_link(db, hash, "login", at)
            return users.get_user(db, user_id) if user_id else None

        user = await self.store.write(use, durable=True)
        if user is None or user.disabled_at is not None:
            raise NotAllowed("This link has expired or was already used.", "Sign in with your password, or create a new link.")
        return await self._begin(user, address, client, "sign_in_by_link")

    async def _begin(self, user: UserRow, address: str, client: str, action: str, **detail: str) -> str:
        secret, at = secrets.token_urlsafe(32), clock.now()

        def begin(db: Connection) -> None:
            sessions.add_session(db, hash_secret(secret), user.id, at, at + SESSION_US, address, client)

        try:
            await self.store.write(begin, durable=True)
        except StoreError as error:  # the person who frees disk space must be able to sign in
            if len(self._unstored) >= UNSTORED:
                raise
            logs.session_not_stored(error.message)
            self._unstored[hash_secret(secret)] = (user.id, _mark(user), at + IDLE_US, begin)
        await self._record(user.name, user.role, action, "done", address, **detail)
        return str(self._signer.dumps(secret))

    # -- setup ---------------------------------------------------------------------------------------------------------
    async def make_link(self, purpose: Literal["setup", "login"], user_id: int | None = None, lives_us: int = SETUP_US) -> str:
        """Returns the secret of a new one-time link."""
        secret, at = secrets.token_urlsafe(24), clock.now()
        await self.store.write(lambda db: sessions.add_link(db, hash_secret(secret), purpose, at + lives_us, user_id), durable=True)
        return secret

    async def is_setup_link(self, secret: str) -> bool:
        """Whether the setup page may be shown for this secret."""
        if await users.has_admin(self.store):
            return False
        return await sessions.check_link(self.store, hash_secret(secret), "setup", clock.now())

    async def create_first_admin(self, secret: str, name: str, password: str, address: str, client: str) -> str:
        """Uses the setup link, creates the first administrator, and signs them in. Raises NotAllowed or BadInput."""
        if not await self.is_setup_link(secret):  # before the hash, which unknown clients must not cause
            raise NotAllowed("This setup link has expired or was already used.", "Restart the server to get a new link.")
        hashed = await self.hash_password(check_password(password))
        name, at = check_name(name), clock.now()

        def create(db: Connection) -> UserRow | None:
            if users.count_admins(db) or sessions.use_link(db, hash_secret(secret), "setup", at) is None:
                return None
            return users.get_user(db, users.add_user(db, name, hashed, "admin", at))

        user = await self.store.write(create, durable=True)
        if user is None:
            raise NotAllowed("This setup link has expired or was already used.", "Restart the server to get a new link.")
        await self._record(name, "admin", "setup", "done", address)
        return await self._begin(user, address, client, "sign_in")

    async def hash_password(self, password: str) -> str:
        """Returns an Argon2id hash, computed off the event loop. Raises TooMany when several are already waiting."""
        return await self.passwords.hash(password)

    async def _record(self, actor: str, role: str, action: str, outcome: str, address: str, **detail: str) -> None:
        await self.audit.note(
            self.store, at=clock.now(), actor=actor, role=role, action=action, target="appliance", outcome=outcome, address=address,
            detail=detail,
        )  # fmt: skip


def _mark(user: UserRow) -> str:
    """Returns a mark of the password, so that a changed password invalidates tickets."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]


def _cookie_key(path: Path) -> str:
    return files.load_or_create(path, secrets.token_hex(32).encode()).decode()
