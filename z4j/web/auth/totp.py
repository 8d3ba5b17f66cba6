# SPDX-License-Identifier: AGPL-3.0-or-later
"""The second step of signing in: a code of an authenticator app, or one of the recovery codes.

The secret lies in the database sealed with a key that lies beside it, so that a stolen copy of the database signs nobody in. Each code
counts once, and few wrong ones are allowed to a person whatever address they come from.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from z4j import clock, files
from z4j.exceptions import BadInput, NotAllowed, StoreError, TooMany, WrongState
from z4j.rate_limit import Attempts
from z4j.rules import totp as rules
from z4j.store.access import totp
from z4j.store.access.audit import AuditLog
from z4j.store.access.users import UserRow
from z4j.store.sqlite.db import Connection, Store

WRONG_AT_MOST: Final = 5
WRONG_PER_US: Final = 5 * 60_000_000
NONCE: Final = 12


class SecondStep:
    """One per process. `folder` holds the key that seals the secrets."""

    def __init__(self, store: Store, audit: AuditLog, folder: Path) -> None:
        self.store = store
        self.audit = audit
        self._seal = AESGCM(_load_or_make(folder / "totp.key"))
        self._wrong = Attempts(WRONG_AT_MOST, WRONG_PER_US)

    async def is_on(self, user_id: int) -> bool:
        """Whether this person is asked for a code."""
        row = await totp.find_totp(self.store, user_id)
        return row is not None and row.confirmed_at is not None

    async def check(self, user: UserRow, code: str, address: str, action: str = "sign_in", *, counted_by: str = "") -> str:
        """Uses a code up; returns which kind it was. Raises NotAllowed or TooMany, and audits that under `action`. `counted_by` names a
        browser or session of this person, whose wrong codes are counted apart from those of strangers who know the password."""
        key, code, at = f"{user.id} {counted_by}", rules.clean(code), clock.now()
        if not self._wrong.claim(key):  # until it turns out right: attempts that run at once must not share one look
            raise TooMany("Too many wrong codes. Nobody was signed in.", "Wait five minutes and try again.")

        def use(db: Connection) -> str:
            row = totp.get_totp(db, user.id)
            if row is None or not code:
                return ""
            if not rules.is_app_code(code):
                is_right = totp.use_recovery_code(db, user.id, rules.hash_recovery_code(code), at)
                return "recovery code" if is_right else ""
            step = rules.find_step(self._open(user.id, row.secret), code, at, row.last_step)
            return "code" if step is not None and totp.use_step(db, user.id, step) else ""

        kind = await self.store.write(use, durable=True)
        if not kind:
            await self._record(user, action, address, "refused", second_step="wrong code")
            raise NotAllowed("This code is wrong, too old, or was used already.", "Wait for the next one; a recovery code works too.")
        self._wrong.was_right(key)
        return kind

    async def begin(self, user: UserRow) -> bytes:
        """A new secret that counts once a code of it was given back. Raises WrongState when a second step is on already."""
        secret, at = secrets.token_bytes(rules.SECRET_BYTES), clock.now()
        sealed = self._close(user.id, secret)
        if not await self.store.write(lambda db: totp.put_totp(db, user.id, sealed, at), durable=True):
            raise WrongState("Your account asks for a code already. Nothing was changed.", "Turn it off first.")
        return secret

    async def pending(self, user_id: int) -> bytes | None:
        """The secret that waits for its first code."""
        row = await totp.find_totp(self.store, user_id)
        return self._open(user_id, row.secret) if row is not None and row.confirmed_at is None else None

    async def confirm(self, user: UserRow, code: str, address: str) -> list[str]:
        """The first code was typed in: turns the second step on. Returns the recovery codes, which are shown this once."""
        if await self.pending(user.id) is None:
            raise WrongState("There is nothing to confirm. Nothing was changed.", "Begin again.")
        if not rules.is_app_code(rules.clean(code)):
            raise BadInput("The code has six digits. Nothing was changed.", "The app shows it beside the name of this server.")
        await self.check(user, code, address, "turn_on_totp", counted_by="signed in")
        codes, at = _new_codes(), clock.now()

        def turn_on(db: Connection) -> None:
            totp.confirm_totp(db, user.id, at)
            totp.put_recovery_codes(db, user.id, _hashes(codes))

        await self.store.write(turn_on, durable=True)
        await self._record(user, "turn_on_totp", address)
        return codes

    async def renew_codes(self, user: UserRow, code: str, address: str) -> list[str]:
        """Another set of recovery codes; the old ones work no more. Raises as `check`, and WrongState."""
        await self._must_be_on(user)
        await self.check(user, code, address, "new_recovery_codes", counted_by="signed in")
        codes = _new_codes()
        await self.store.write(lambda db: totp.put_recovery_codes(db, user.id, _hashes(codes)), durable=True)
        await self._record(user, "new_recovery_codes", address)
        return codes

    async def turn_off(self, user: UserRow, code: str, address: str) -> None:
        """The password is enough again. Raises as `check`, and WrongState."""
        await self._must_be_on(user)
        await self.check(user, code, address, "turn_off_totp", counted_by="signed in")
        await self.store.write(lambda db: totp.delete_totp(db, user.id), durable=True)
        await self._record(user, "turn_off_totp", address)

    # -- pieces --------------------------------------------------------------------------------------------------------
    async def _must_be_on(self, user: UserRow) -> None:
        if not await self.is_on(user.id):
            raise WrongState("Your account asks for no code. Nothing was changed.")

    def _close(self, user_id: int, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._seal.encrypt(nonce, secret, str(user_id).encode())

    def _open(self, user_id: int, sealed: bytes) -> bytes:
        try:
            return self._seal.decrypt(sealed[:NONCE], sealed[NONCE:], str(user_id).encode())
        except InvalidTag as error:
            raise StoreError(
                "Codes cannot be checked: the key they are sealed with is not the one in the data folder.",
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
        raise StoreError(f"{path} is not a key.", "Restore it from a backup, or move it away and reset each person's second step.")
    return key
