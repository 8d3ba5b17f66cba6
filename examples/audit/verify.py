# SPDX-License-Identifier: Apache-2.0
"""Verifies an export of z4j's audit log: `verify.py audit.jsonl public.pem [--seen ROW:DIGEST | --seen FILE]…`

Requires `cryptography`, the file written by `z4j audit export` and the key printed by `z4j audit key` (stored when the server was set up),
but neither the server nor its secrets. `--seen` is an earlier head: as printed by `z4j audit verify` or by this program, or the file
`audit_head` in the spool folder of an agent. The export also contains the heads that agents, browsers and two files beside the database
remember. Exit code 0: the log is intact. 1: rows or checkpoints were changed, removed, added or reordered. 2: a file cannot be read.
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
    """The log is not intact; the message says why."""


def compact(value: object) -> bytes:
    """Encodes a value as JSON without spaces, in ASCII: the form that is hashed and signed."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def signed_text(head: dict[str, Any]) -> bytes:
    """Returns the bytes that a checkpoint's signature covers. Checkpoints of releases that did not chain them have no `previous`; they can
    only come first."""
    if not head.get("previous"):
        return b"z4j audit head v1\0" + compact([head["seq"], head["at"], head["digest"], head["key_id"]])
    return b"z4j audit checkpoint v2\0" + compact([head[name] for name in ("number", "seq", "at", "digest", "previous", "key_id")])


def check_head(head: dict[str, Any], before: dict[str, Any] | None, seq: int, digest: bytes, key: Ed25519PublicKey, key_id: str) -> None:
    """Verifies one checkpoint against the checkpoint before it and the rows up to it. Raises Broken."""
    name = f"checkpoint {head['number']} (row {head['seq']})"
    if head["number"] != (before["number"] + 1 if before else 1):
        raise Broken(f"a checkpoint before {name} is missing")
    if (head["seq"], head["digest"]) != (seq, digest.hex()):
        raise Broken(f"{name} does not fit the rows up to row {seq}: one of them was changed, removed or moved")
    link = hashlib.sha256(b"z4j audit link v2\0" + signed_text(before)).hexdigest() if before else GENESIS.hex()
    if head.get("previous", "") != link and (head.get("previous") or (before and before.get("previous"))):
        raise Broken(f"{name} does not contain the digest of the previous checkpoint")
    if head["key_id"] != key_id:
        raise Broken(f"{name} was signed with key {head['key_id']}, not with {key_id}")
    try:
        key.verify(bytes.fromhex(head["signature"]), signed_text(head))
    except InvalidSignature:
        raise Broken(f"the signature of {name} is wrong") from None


def check_restore(row: dict[str, Any], abandoned: set[tuple[int, str]]) -> None:
    """Verifies that the row of a restored backup names the listed rows, which it abandoned, and no others. Raises Broken."""
    named = json.loads(row["detail"]).get("abandoned_sha256")
    if named != hashlib.sha256(b"z4j audit abandoned v1\0" + compact(sorted(map(list, abandoned)))).hexdigest():
        raise Broken(f"the list of rows that the restore of row {row['seq']} abandoned differs from the signed one")
    print(f"Row {row['seq']}: {row['actor']} restored a backup, which abandoned {len({seq for seq, _ in abandoned})} rows.")


def check(lines: Iterable[str], key: Ed25519PublicKey, seen: list[dict[str, Any]]) -> tuple[dict[str, Any], int]:
    """Verifies the lines of an export. Returns the last checkpoint and the number of checkpoints. Raises Broken."""
    key_id = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:8]
    seq, digest, head, heads, action = 0, GENESIS, None, 0, ""
    marks: dict[object, set[str]] = {}
    abandoned: dict[int, set[tuple[int, str]]] = {}
    restores: set[int] = set()
    for line in map(json.loads, lines):
        if line["type"] == "remembered":
            seen.append(line)
        elif line["type"] == "abandoned":
            abandoned.setdefault(line["restored_by"], set()).add((line["seq"], line["mark"]))
        elif line["type"] == "row":
            if line["seq"] != seq + 1:
                raise Broken(f"row {seq + 1} is missing; the next one is row {line['seq']}")
            row = compact([line[name] for name in FIELDS])
            digest = hashlib.sha256(b"z4j audit digest v1\0" + digest + bytes.fromhex(line["mac"]) + row).digest()
            seq, action = line["seq"], line["action"]
            marks[seq] = {digest.hex(), line["mac"]}
            if (action, line["outcome"]) == ("restore_backup", "done"):
                check_restore(line, abandoned.get(seq, set()))
                restores.add(seq)
        elif line["type"] == "head":
            check_head(line, head, seq, digest, key, key_id)
            head, heads = line, heads + 1
            marks[seq, heads] = marks[seq, -1] = {line["digest"]}
    if unnamed := abandoned.keys() - restores:
        raise Broken(f"rows are listed as abandoned by row {min(unnamed)}, which records no restore")
    for known in seen:
        if any((known["seq"], known["mark"]) in rows for rows in abandoned.values()):
            continue  # a restored backup abandoned it, and the row of the restore names it
        place = (known["seq"], known["number"]) if known["number"] else known["seq"]  # a checkpoint, -1: of any number; or a row
        if known["mark"] not in marks.get(place, ()):
            raise Broken(f"{known['source']} recorded row {known['seq']}, which the log does not contain: it was rolled back or rewritten")
    if head is None or head["seq"] != seq:
        raise Broken(f"no checkpoint covers the rows after row {head['seq'] if head else 0}: the end was removed, or rows were added")
    if action != "export_audit":
        raise Broken("an export ends with the row of the export itself: the end of this one was removed")
    return head, heads


def read_seen(text: str) -> dict[str, Any]:
    """Reads a head given as ROW:DIGEST, or from a file. Raises OSError or ValueError."""
    head = json.loads(Path(text).read_text()) if Path(text).is_file() else dict(zip(("seq", "digest"), text.split(":"), strict=True))
    return {"seq": int(head["seq"]), "mark": head["digest"].lower(), "number": 0, "source": "--seen"}


def main() -> int:
    """Runs the command. Returns the exit code."""
    words = argparse.ArgumentParser(description="Verify an export of z4j's audit log.")
    words.add_argument("log")
    words.add_argument("key")
    words.add_argument("--seen", action="append", default=[], metavar="ROW:DIGEST", help="an earlier head, or an agent's audit_head file")
    given = words.parse_args()
    try:
        key = load_pem_public_key(Path(given.key).read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError(f"{given.key} contains no Ed25519 key")
        with Path(given.log).open() as lines:
            head, heads = check(lines, key, [read_seen(text) for text in given.seen])
    except Broken as error:
        print(f"BROKEN: {error}.")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"verify.py: {error!r}", file=sys.stderr)
        return 2
    when = datetime.fromtimestamp(head["at"] / 1_000_000, UTC).isoformat(timespec="seconds")
    print(f"{head['seq']} rows and {heads} checkpoints verified: the log is intact. Exported {when}.")
    print(f"Head: {head['seq']}:{head['digest']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
