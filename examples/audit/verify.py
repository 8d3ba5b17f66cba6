# SPDX-License-Identifier: Apache-2.0
"""Checks an export of z4j's audit log: `verify.py audit.jsonl public.pem [--seen ROW:DIGEST | --seen FILE]…`

Needs neither the server nor its secrets, only `cryptography`, the file of `z4j audit export` and the key of `z4j audit key` (fetched when
the server was set up, and kept). `--seen` is a head seen before: as `z4j audit verify` or this program printed it, or the file
`audit_head` of an agent's spool folder. The export also holds what agents, browsers and two files beside the database remember.
Exit code 0: nothing was changed, cut off, removed or reordered. 1: something was. 2: the files cannot be read.
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
GENESIS = bytes(32)


class Broken(Exception):
    """What is wrong with the log."""


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def signed_text(head: dict[str, Any]) -> bytes:
    """What the signature covers. Checkpoints from before they were chained have no `previous`, and may only come first."""
    if not head.get("previous"):
        return b"z4j audit head v1\0" + compact([head["seq"], head["at"], head["digest"], head["key_id"]])
    return b"z4j audit checkpoint v2\0" + compact([head[name] for name in ("number", "seq", "at", "digest", "previous", "key_id")])


def check_head(head: dict[str, Any], before: dict[str, Any] | None, seq: int, digest: bytes, key: Ed25519PublicKey, key_id: str) -> None:
    name = f"checkpoint {head['number']} (row {head['seq']})"
    if head["number"] != (before["number"] + 1 if before else 1):
        raise Broken(f"a checkpoint before {name} is missing")
    if (head["seq"], head["digest"]) != (seq, digest.hex()):
        raise Broken(f"{name} does not fit the rows up to row {seq}: one of them was changed, removed or moved")
    link = hashlib.sha256(b"z4j audit link v2\0" + signed_text(before)).hexdigest() if before else GENESIS.hex()
    if head.get("previous", "") != link and (head.get("previous") or (before and before.get("previous"))):
        raise Broken(f"{name} does not name the checkpoint before it")
    if head["key_id"] != key_id:
        raise Broken(f"{name} was signed with key {head['key_id']}, not with {key_id}")
    try:
        key.verify(bytes.fromhex(head["signature"]), signed_text(head))
    except InvalidSignature:
        raise Broken(f"the signature of {name} is wrong") from None


def check(lines: Iterable[str], key: Ed25519PublicKey, seen: list[dict[str, Any]]) -> tuple[dict[str, Any], int]:
    """The last checkpoint and the number of checkpoints. Raises Broken."""
    key_id = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:8]
    seq, digest, head, heads, action = 0, GENESIS, None, 0, ""
    marks: dict[object, set[str]] = {}
    for said in map(json.loads, lines):
        if said["type"] == "remembered":
            seen.append(said)
        elif said["type"] == "row":
            if said["seq"] != seq + 1:
                raise Broken(f"row {seq + 1} is missing; the next one is row {said['seq']}")
            row = compact([said[name] for name in FIELDS])
            digest = hashlib.sha256(b"z4j audit digest v1\0" + digest + bytes.fromhex(said["mac"]) + row).digest()
            seq, action = said["seq"], said["action"]
            marks[seq] = {digest.hex(), said["mac"]}
        elif said["type"] == "head":
            check_head(said, head, seq, digest, key, key_id)
            head, heads = said, heads + 1
            marks[seq, heads] = marks[seq, -1] = {said["digest"]}
    for known in seen:
        place = (known["seq"], known["number"]) if known["number"] else known["seq"]  # a checkpoint, -1: of any number; or a row
        if known["mark"] not in marks.get(place, ()):
            raise Broken(f"{known['source']} remembers row {known['seq']}, which the log does not hold: it was rolled back or rewritten")
    if head is None or head["seq"] != seq:
        raise Broken(f"no checkpoint covers the rows after row {head['seq'] if head else 0}: the end was cut off, or rows were added")
    if action != "export_audit":
        raise Broken("an export ends with the row of the export itself: the end of this one was cut off")
    return head, heads


def read_seen(text: str) -> dict[str, Any]:
    head = json.loads(Path(text).read_text()) if Path(text).is_file() else dict(zip(("seq", "digest"), text.split(":"), strict=True))
    return {"seq": int(head["seq"]), "mark": head["digest"].lower(), "number": 0, "source": "--seen"}


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
            head, heads = check(lines, key, [read_seen(text) for text in given.seen])
    except Broken as error:
        print(f"BROKEN: {error}.")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"verify.py: {error!r}", file=sys.stderr)
        return 2
    when = datetime.fromtimestamp(head["at"] / 1_000_000, UTC).isoformat(timespec="seconds")
    print(f"{head['seq']} rows and {heads} checkpoints, all as they were written. Exported {when}.")
    print(f"Head: {head['seq']}:{head['digest']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
