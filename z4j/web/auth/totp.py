# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two-factor authentication: a code of an authenticator app, or a recovery code.

The secret is stored in the database, encrypted with a key that is a file beside it, so that a stolen copy of the database is not enough to
sign in. Each code is valid once. The number of wrong codes is limited per person, whatever address they come from. `cryptography` is
imported with the first secret: it needs 10 MB.
"""

from __future__ import annotations

import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from z4j import clock, files
from z4j.exceptions import BadInput, NotAllowed, StoreError, TooMany, WrongState
from z4j.rate_limit import Attempts
from z4j.rules import totp as rules
from z4j.store.access import totp
from z4j.store.access.audit import AuditLog
from z4j.store.access.users import UserRow
from z4j.store.sqlite.db import Connection, Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

WRONG_AT_MOST: Final = 5
WRONG_PER_US: Final = 5 * 60_000_000
NONCE: Final = 12


class SecondStep:
    """One per process. `folder` holds the key that seals the secrets."""

    def __init__(self, store: Store, audit: AuditLog, folder: Path) -> None:
        self.store = store
        self.audit = audit
        self._key = _load_or_make(folder / "totp.key")
        self._wrong = Attempts(WRONG_AT_MOST, WRONG_PER_US)

    async def is_on(self, user_id: int) -> bool:
        """Whether this person must enter a code."""
        row = await totp.find_totp(self.store, user_id)
        return row is not None and row.confirmed_at is not None

    async def check(self, user: UserRow, code: str, address: str, action: str = "sign_in", *, counted_by: str = "") -> str:
        """Consumes a code and returns its kind. Raises NotAllowed or TooMany, and records it in the audit log as `action`. `counted_by` is
        a browser or session of this user, whose wrong codes are counted separately from those of others who know the password."""
        key, code, at = f"{user.id} {counted_by}", rules.clean(code), clock.now()
        if not self._wrong.claim(key):  # released when the code is correct: concurrent attempts must not share one check
            raise TooMany("Too many wrong codes. The request was refused.", "Wait five minutes and try again.")

        def use(db: Connection) -> str:
            row = totp.get_totp(db, user.id)
            if row is None or not code:
                return ""
            if not rules.is_app_code(code):
                is_right = totp.use_recovery_code(db, user.id, rules.hash_recovery_code(code), at)
                return "recovery code" if is_right else ""
            step = rules.find_step(self._open(user.id, row.secret), code, at, row.last_step)
            return "code" if step is not None and totp.use_step(db, user.id, step, at // rules.STEP_US + rules.DRIFT) else ""

        kind = await self.store.write(use, durable=True)
        if not kind:
            await self._record(user, action, address, "refused", second_step="wrong code")
            raise NotAllowed("This code is wrong, has expired, or was already used.", "Wait for the next code, or use a recovery code.")
        self._wrong.was_right(key)
        return kind

    async def begin(self, user: UserRow) -> bytes:
        """Returns a new secret, which becomes active with its first code. Raises WrongState where it is already on."""
        secret, at = secrets.token_bytes(rules.SECRET_BYTES), clock.now()
        sealed = self._close(user.id, secret)
        if not await self.store.write(lambda db: totp.put_totp(db, user.id, sealed, at), durable=True):
            raise WrongState("Two-factor authentication is already on. No changes were made.", "Turn it off first.")
        return secret

    async def pending(self, user_id: int) -> bytes | None:
        """Returns the secret that is not confirmed yet, None where there is none."""
        row = await totp.find_totp(self.store, user_id)
        return self._open(user_id, row.secret) if row is not None and row.confirmed_at is None else None

    async def confirm(self, user: UserRow, code: str, address: str) -> list[str]:
        """Checks the first code and turns two-factor authentication on. Returns the recovery codes, which are shown only once."""
        if await self.pending(user.id) is None:
            raise WrongState("There is no setup to confirm. No changes were made.", "Start the setup again.")
        if not rules.is_app_code(rules.clean(code)):
            raise BadInput("The code must have six digits. No changes were made.", "The app shows it next to the name of this server.")
        await self.check(user, code, address, "turn_on_totp", counted_by="signed in")
        codes, at = _new_codes(), clock.now()

        def turn_on(db: Connection) -> None:
            totp.confirm_totp(db, user.id, at)
            totp.put_recovery_codes(db, user.id, _hashes(codes))

        await self.store.write(turn_on, durable=True)
        await self._record(user, "turn_on_totp", address)
        return codes

    async def renew_codes(self, user: UserRow, code: str, address: str) -> list[str]:
        """Returns new recovery codes; the old ones are no longer valid. Raises like `check`, and WrongState."""
        await self._must_be_on(user)
        await self.check(user, code, address, "new_recovery_codes", counted_by="signed in")
        codes = _new_codes()
        await self.store.write(lambda db: totp.put_recovery_codes(db, user.id, _hashes(codes)), durable=True)
        await self._record(user, "new_recovery_codes", address)
        return codes

    async def turn_off(self, user: UserRow, code: str, address: str) -> None:
        """Turns two-factor authentication off. Raises like `check`, and WrongState."""
        await self._must_be_on(user)
        await self.check(user, code, address, "turn_off_totp", counted_by="signed in")
        await self.store.write(lambda db: totp.delete_totp(db, user.id), durable=True)
        await self._record(user, "turn_off_totp", address)

    # -- pieces --------------------------------------------------------------------------------------------------------
    @cached_property
    def _seal(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    async def _must_be_on(self, user: UserRow) -> None:
        if not await self.is_on(user.id):
            raise WrongState("Two-factor authentication is off. No changes were made.")

    def _close(self, user_id: int, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._seal.encrypt(nonce, secret, str(user_id).encode())

    def _open(self, user_id: int, sealed: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._seal.decrypt(sealed[:NONCE], sealed[NONCE:], str(user_id).encode())
        except InvalidTag as error:
            raise StoreError(
                "Codes cannot be checked: they are encrypted with another key than the one in the data folder.",
                "Restore totp.key from a backup, use a recovery code, or run `z4j user reset-totp NAME` on the server.",
            ) from error

    async def _record(self, user: UserRow, action: str, address: str, outcome: str = "done", **detail: str) -> None:
        await self.audit.note(
            self.store, at=clock.now(), actor=user.name, role=user.role, action=action, target=f"user:{user.name}", outcome=outcome,
            address=address, detail=detail,
        )  # fmt: skip


def _new_codes() -> list[str]:
    return [rules.recovery_code(secrets.token_bytes(rules.RECOVERY_BYTES)) for _ in range(rules.RECOVERY_CODES)]


def _hashes(codes: list[str]) -> list[bytes]:
    return [rules.hash_recovery_code(rules.clean(code)) for code in codes]


def _load_or_make(path: Path) -> bytes:
    key = files.load_or_create(path, secrets.token_bytes(32))
    if len(key) != 32:
        raise StoreError(
            f"{path} is not a valid key.", "Restore it from a backup, or remove it and run `z4j user reset-totp NAME` for each user."
        )
    return key
