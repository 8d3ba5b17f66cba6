# SPDX-License-Identifier: Apache-2.0
"""Checks an export of z4j's audit log: `verify.py audit.jsonl public.pem [--seen ROW:DIGEST | --seen FILE]…`

Needs neither the server nor its secrets, only `cryptography`, the file of `z4j audit export` and the key of `z4j audit key` (fetched when
the server was set up, and kept). A log cut back to an older signed head is whole in itself; what finds that are heads seen before
(`--seen`, as `z4j audit verify` prints them, or the file `audit_head` in an agent's spool folder) and the time of the last one.
Exit code 0: nothing was changed, cut off, taken out or put in another order. 1: something was. 2: the files cannot be read.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

FIELDS = ("seq", "at", "actor", "role", "action", "target", "outcome", "detail", "address", "key_id")


class Broken(Exception):
    """What is wrong with the log."""


def add_to_digest(before: bytes, row: dict[str, Any]) -> bytes:
    canonical = json.dumps([row[name] for name in FIELDS], ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(b"z4j audit digest v1\0" + before + bytes.fromhex(row["mac"]) + canonical).digest()


def check_head(head: dict[str, Any], seq: int, digest: bytes, key: Ed25519PublicKey, key_id: str) -> None:
    if (head["seq"], head["digest"]) != (seq, digest.hex()):
        raise Broken(f"the head of row {head['seq']} does not fit the rows up to row {seq}: one of them was changed, taken out or moved")
    if head["key_id"] != key_id:
        raise Broken(f"the head of row {seq} was signed with key {head['key_id']}, not with {key_id}")
    text = json.dumps([seq, head["at"], digest.hex(), key_id], separators=(",", ":")).encode("ascii")
    try:
        key.verify(bytes.fromhex(head["signature"]), b"z4j audit head v1\0" + text)
    except InvalidSignature:
        raise Broken(f"the signature of the head of row {seq} is wrong") from None


def check(lines: Iterable[str], key: Ed25519PublicKey, seen: dict[int, str]) -> tuple[int, int, int, str]:
    """Rows, heads, time of the last head (microseconds UTC) and digest of the log. Raises Broken."""
    key_id = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:8]
    seq, digest, heads, signed_to, signed_at = 0, b"\0" * 32, 0, 0, 0
    for line in lines:
        said = json.loads(line)
        if said["type"] == "row":
            if said["seq"] != seq + 1:
                raise Broken(f"row {seq + 1} is missing; the next one is row {said['seq']}")
            seq, digest = said["seq"], add_to_digest(digest, said)
            if seen.get(seq, digest.hex()) != digest.hex():
                raise Broken(f"row {seq} is not the one that was seen before: the log was rewritten up to there")
        elif said["type"] == "head":
            check_head(said, seq, digest, key, key_id)
            heads, signed_to, signed_at = heads + 1, seq, said["at"]
    if seq != signed_to:
        raise Broken(f"no signed head covers the rows behind row {signed_to}: the end was cut off, or rows were put there")
    if seen and max(seen) > seq:
        raise Broken(f"the log ends at row {seq}, but row {max(seen)} was seen before: it was rolled back")
    return seq, heads, signed_at, digest.hex()


def read_seen(text: str) -> tuple[int, str]:
    head = json.loads(Path(text).read_text()) if Path(text).is_file() else dict(zip(("seq", "digest"), text.split(":"), strict=True))
    return int(head["seq"]), head["digest"].lower()


def main() -> int:
    words = argparse.ArgumentParser(description="Check an export of z4j's audit log.")
    words.add_argument("log")
    words.add_argument("key")
    words.add_argument("--seen", action="append", default=[], metavar="ROW:DIGEST", help="a head seen before, or an agent's audit_head")
    given = words.parse_args()
    try:
        key = load_pem_public_key(Path(given.key).read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError(f"{given.key} holds no Ed25519 key")
        with Path(given.log).open() as lines:
            rows, heads, at, digest = check(lines, key, dict(read_seen(text) for text in given.seen))
    except Broken as error:
        print(f"BROKEN: {error}.")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"verify.py: {error!r}", file=sys.stderr)
        return 2
    when = datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="seconds") if at else "never"
    print(f"{rows} rows and {heads} signed heads, all as they were written. Last signed {when}; an export made later was cut.")
    print(f"Head: {rows}:{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
