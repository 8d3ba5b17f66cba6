# SPDX-License-Identifier: AGPL-3.0-or-later
"""The audit log: appended in the transaction of the action it tells of, and never changed.

The key lies beside the database (mode 0600), and so does a file with the last head. That shows tampering by others, not by the owner
of the machine; for that, heads are signed (`heads.py`), agents keep the last one they were shown, and so may you (`z4j audit verify
--head`).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from z4j.exceptions import StoreError
from z4j.rules.audit import GENESIS, AuditRow, Head, SignedHead, Verdict, sign, verify
from z4j.store import sql
from z4j.store.db import Connection, Store
from z4j.store.heads import EVERY_ROWS, HeadSigner, list_heads, newest_head

SQL = sql.load("audit")
SLICE = 1_000
NEWEST = 1 << 62


class AuditLog:
    """Made once per process from the data folder."""

    def __init__(self, folder: Path) -> None:
        self._head_file = folder / "audit.head"
        self.signer = HeadSigner(folder)
        self.newest: SignedHead | None = None
        """The newest signed head that is surely on disk, as `sign_head` found it last; shown to agents."""
        secret = _load_or_make(folder / "audit.key")
        self.key_id = hashlib.sha256(secret).hexdigest()[:8]
        self._keys = {self.key_id: secret}

    def append(
        self,
        db: Connection,
        *,
        at: int,
        actor: str,
        role: str,
        action: str,
        target: str,
        outcome: str = "done",
        detail: dict[str, Any] | None = None,
        address: str = "",
    ) -> Head:
        """One row at the end of the chain, inside the caller's (durable) transaction."""
        last = db.execute(SQL["last_audit"]).fetchone()
        seq, before = (last[0] + 1, last[1]) if last else (1, GENESIS)
        text = json.dumps(detail or {}, ensure_ascii=False, sort_keys=True)
        row = AuditRow(seq, at, actor, role, action, target, outcome, text, address, self.key_id, b"")
        mac = sign(self._keys[self.key_id], before, row)
        params = {
            "seq": seq, "at": at, "actor": actor, "role": role, "action": action, "target": target, "outcome": outcome,
            "detail": text, "address": address, "key_id": self.key_id, "mac": mac,
        }  # fmt: skip
        db.execute(SQL["add_audit"], params)
        self.signer.sign(db, at, EVERY_ROWS)
        return Head(seq, mac)

    async def record(self, store: Store, **facts: Any) -> None:
        """One row in a transaction of its own, then the head file."""
        self.keep_head(await store.write(lambda db: self.append(db, **facts), durable=True))

    async def sign_head(self, store: Store, at: int) -> SignedHead | None:
        """A head over the last row, unless there is one. Returns the newest."""
        last, newest = await last_head(store), await newest_head(store)
        if last is not None and (newest is None or newest.seq != last.seq):
            newest = await store.write(lambda db: self.signer.sign(db, at), durable=True) or newest
        self.newest = newest
        return newest

    def keep_head(self, head: Head) -> None:
        """Remembers the last head apart from the log. A crash before this leaves an older head, which is still true."""
        fresh = self._head_file.with_suffix(f".{os.getpid()}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(f"{head.seq} {head.mark.hex()}\n")
        fresh.replace(self._head_file)

    def kept_head(self) -> Head | None:
        """The last head this appliance remembers, or None."""
        try:
            seq, _, mark = self._head_file.read_text().partition(" ")
            return Head(int(seq), bytes.fromhex(mark.strip()))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError(
                f"{self._head_file} is damaged; the log itself may be whole.", "Verify against a head kept elsewhere."
            ) from error

    async def verify(self, store: Store, known: Head | None = None) -> Verdict:
        """Walks the whole log and checks it against `known`, the head this appliance remembers, and every signed head."""
        kept = [head for head in (known, self.kept_head()) if head is not None]
        signed = await list_heads(store)
        rows = [row async for row in walk(store)]  # last: a running server goes on writing, and heads must not be ahead of rows
        return verify(rows, self._keys, kept, signed, self.signer.why_not_ours)


async def walk(store: Store) -> AsyncIterator[AuditRow]:
    """The whole log, oldest first."""
    after = 0
    while rows := await store.fetch_all(SQL["walk_audit"], {"after": after, "limit": SLICE}):
        for row in rows:
            yield AuditRow(*row)
        after = rows[-1][0]


async def list_audit(store: Store, *, before: int = NEWEST, limit: int = 100) -> list[AuditRow]:
    """Newest first; `before` is the seq of the last row of the page before."""
    return [AuditRow(*row) for row in await store.fetch_all(SQL["list_audit"], {"before": before, "limit": limit})]


async def last_head(store: Store) -> Head | None:
    """The end of the chain as it stands."""
    row = await store.fetch_one(SQL["last_audit"])
    return Head(row[0], row[1]) if row else None


def _load_or_make(path: Path) -> bytes:
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = secrets.token_bytes(32)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secret)
    if len(secret) != 32:
        raise StoreError(f"{path} is not an audit key.", "Restore it from a backup; without it the log cannot be verified.")
    return secret
