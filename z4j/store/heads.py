# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signed heads of the audit log: the digest up to a row under an Ed25519 signature, kept beside the log and shown to every agent.

The private key lies in the data folder (mode 0600). A signature alone shows tampering by others, not by whoever holds that key;
the heads that agents and auditors kept show both.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from z4j import logs
from z4j.exceptions import StoreError
from z4j.rules.audit import GENESIS, AuditRow, SignedHead, add_to_digest, head_text
from z4j.store import sql
from z4j.store.db import Connection, Store

SQL = sql.load("heads")
AUDIT = sql.load("audit")
EVERY_ROWS: Final = 64
"""Rows behind a head before the next one is signed in the transaction of the row itself; the rest once a minute."""


class HeadSigner:
    """Made once per process from the data folder; the key is made with it when there is none."""

    def __init__(self, folder: Path) -> None:
        self._key = _load_or_make(folder / "audit.ed25519")
        public = self._key.public_key()
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = hashlib.sha256(raw).hexdigest()[:8]
        self.public_text = base64.b64encode(raw).decode("ascii")
        self.public_pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def sign(self, db: Connection, at: int, behind: int = 1) -> SignedHead | None:
        """A head over the last row, inside the caller's durable transaction; None unless `behind` rows came since the last head."""
        last, before = db.execute(AUDIT["last_audit"]).fetchone(), last_head(db)
        seq, digest = (before.seq, before.digest) if before else (0, GENESIS)
        if last is None or last[0] - seq < behind:
            if (last[0] if last else 0) < seq:
                logs.audit_cut(last[0] if last else 0, seq)
            return None
        for row in db.execute(SQL["walk_behind_head"], {"after": seq}):
            digest, seq = add_to_digest(digest, AuditRow(*row)), row[0]
        signature = self._key.sign(head_text(seq, at, digest, self.key_id))
        head = SignedHead(seq, at, digest, self.key_id, signature)
        params = {"seq": seq, "at": at, "digest": digest, "key_id": self.key_id, "signature": signature}
        db.execute(SQL["add_head"], params)
        return head

    def why_not_ours(self, head: SignedHead) -> str:
        """What is wrong with a signature; empty when it is ours."""
        if head.key_id != self.key_id:
            return f"its head was signed with key {head.key_id}, which is not here"
        try:
            self._key.public_key().verify(head.signature, head_text(head.seq, head.at, head.digest, head.key_id))
        except InvalidSignature:
            return "the signature of its head is wrong"
        return ""


def last_head(db: Connection) -> SignedHead | None:
    """The newest head, for the writer."""
    row = db.execute(SQL["last_head"]).fetchone()
    return SignedHead(*row) if row else None


async def newest_head(store: Store) -> SignedHead | None:
    """The newest head, for readers."""
    row = await store.fetch_one(SQL["last_head"])
    return SignedHead(*row) if row else None


async def list_heads(store: Store) -> list[SignedHead]:
    """Every head, oldest first."""
    return [SignedHead(*row) for row in await store.fetch_all(SQL["list_heads"])]


async def holds_head(store: Store, seq: int, digest: bytes) -> bool:
    """Whether the log still reaches row `seq` and signed that very head there."""
    return await store.fetch_one(SQL["find_head"], {"seq": seq, "digest": digest}) is not None


def _load_or_make(path: Path) -> Ed25519PrivateKey:
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = Ed25519PrivateKey.generate().private_bytes_raw()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secret)
    if len(secret) != 32:
        raise StoreError(f"{path} is not an audit signing key.", "Restore it from a backup; heads it signed cannot be checked without it.")
    return Ed25519PrivateKey.from_private_bytes(secret)
