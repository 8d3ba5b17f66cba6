# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ways to tamper with the audit log of a data folder, for somebody who may write every file in it, with and without its keys.

A mutation works on a copy of a data folder; what it does is drawn from its own random generator, so that a seed repeats it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from z4j.rules.audit.checkpoints import Checkpoint, link, signed_text
from z4j.rules.audit.entries import GENESIS, AuditRow, add_to_digest, sign

ROWS: Final = "seq, at, actor, role, action, target, outcome, detail, address, key_id, mac"
POINTS: Final = "number, seq, at, digest, previous, key_id, signature"
FIELDS: Final = ("at", "actor", "role", "action", "target", "outcome", "detail", "address", "key_id", "mac")
BESIDE: Final = ("audit.head", "audit.witnesses")


@dataclass
class Folder:
    """A copy of a data folder that is being tampered with. `older` are copies of the same folder from before."""

    path: Path
    random: Random
    older: list[Path]

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path / "z4j.db", isolation_level=None)

    def rows(self) -> list[AuditRow]:
        with closing(self.connect()) as db:
            return [AuditRow(*row) for row in db.execute(f"SELECT {ROWS} FROM audit ORDER BY seq")]

    def points(self) -> list[Checkpoint]:
        with closing(self.connect()) as db:
            return [Checkpoint(*row) for row in db.execute(f"SELECT {POINTS} FROM audit_head ORDER BY number")]

    def put(self, rows: list[AuditRow], points: list[Checkpoint]) -> None:
        """The log as it shall look from now on."""
        with closing(self.connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM audit")
            db.execute("DELETE FROM audit_head")
            marks = ", ".join("?" * 11)
            db.executemany(
                f"INSERT INTO audit ({ROWS}) VALUES ({marks})", [tuple(getattr(row, of) for of in ROWS.split(", ")) for row in rows]
            )
            db.executemany(
                f"INSERT INTO audit_head ({POINTS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [tuple(getattr(point, of) for of in POINTS.split(", ")) for point in points],
            )
            db.execute("COMMIT")

    def put_head(self, row: AuditRow | None) -> None:
        """`audit.head` as it would be with this last row."""
        if row is None:
            (self.path / "audit.head").unlink(missing_ok=True)
        else:
            (self.path / "audit.head").write_text(f"{row.seq} {row.mac.hex()}\n")

    def put_witnesses(self, points: list[Checkpoint]) -> None:
        """`audit.witnesses` as it would be with these checkpoints."""
        facts = (
            {"kind": "checkpoint", "number": of.number, "seq": of.seq, "at": of.at, "digest": of.digest.hex(), "agents": 1} for of in points
        )
        (self.path / "audit.witnesses").write_text("".join(json.dumps(of, separators=(",", ":")) + "\n" for of in facts))

    def some(self, limit: int, least: int = 1) -> int:
        return self.random.randint(least, limit)


def rechain(
    rows: list[AuditRow], points: list[Checkpoint], first: int, mac_key: bytes, sign_key: Ed25519PrivateKey
) -> tuple[list[AuditRow], list[Checkpoint]]:
    """Rows and checkpoints signed anew from row `first` on, with these keys. Rows keep their numbers, checkpoints theirs."""
    before = rows[first - 2].mac if first > 1 else GENESIS
    made = rows[: first - 1]
    for row in rows[first - 1 :]:
        made.append(replace(row, mac=sign(mac_key, before, row)))
        before = made[-1].mac
    digests, digest = [GENESIS], GENESIS
    for row in made:
        digest = add_to_digest(digest, row)
        digests.append(digest)
    raw = sign_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = hashlib.sha256(raw).hexdigest()[:8]
    signed: list[Checkpoint] = []
    for point in points:
        if point.seq >= first:
            point = replace(point, digest=digests[point.seq], previous=link(signed[-1] if signed else None), key_id=key_id)  # noqa: PLW2901
            point = replace(point, signature=sign_key.sign(signed_text(point)))  # noqa: PLW2901
        signed.append(point)
    return made, signed


# -- without keys: rows ----------------------------------------------------------------------------------------------------


def edit(of: Folder) -> None:
    """One field of one row."""
    rows = of.rows()
    row, field = of.random.choice(rows), of.random.choice(FIELDS)
    old: Any = getattr(row, field)
    new: Any = (
        old + of.some(10**6) if isinstance(old, int) else of.random.randbytes(32) if isinstance(old, bytes) else f"{old}{of.some(99)}"
    )
    of.put([replace(other, **{field: new}) if other is row else other for other in rows], of.points())


def delete(of: Folder) -> None:
    """Some rows from anywhere but the end; half of the time those behind them move up."""
    rows = of.rows()
    first, amount = of.some(len(rows) - 4), of.some(3)
    left = [row for row in rows if not first <= row.seq < first + amount]
    if of.random.random() < 0.5:
        left = [replace(row, seq=row.seq - amount) if row.seq > first else row for row in left]
        of.put_head(left[-1])
    of.put(left, of.points())


def insert(of: Folder) -> None:
    """A row that was never written: at the end, between others, or before the first."""
    rows, points = of.rows(), of.points()
    place = of.random.choice(["end", "middle", "before"])
    like = of.random.choice(rows)
    mac = of.random.choice([of.random.randbytes(32), like.mac, rows[-1].mac])
    if place == "end":
        made = [*rows, replace(like, seq=rows[-1].seq + 1, mac=mac)]
        if of.random.random() < 0.5:
            of.put_head(made[-1])
    elif place == "middle":
        at = of.some(len(rows))
        made = [
            *rows[: at - 1], replace(like, seq=at, actor="eve", mac=mac), *(replace(row, seq=row.seq + 1) for row in rows[at - 1 :]),
        ]  # fmt: skip
    else:
        made = [replace(like, seq=-of.some(9, 0), mac=mac), *rows]
    of.put(made, points)


def swap(of: Folder) -> None:
    """Two rows change places, with or without their MACs."""
    rows = of.rows()
    one, two = of.random.sample(range(len(rows)), 2)
    if of.random.random() < 0.5:
        rows[one], rows[two] = replace(rows[two], seq=rows[one].seq), replace(rows[one], seq=rows[two].seq)
    else:
        rows[one], rows[two] = (
            replace(rows[two], seq=rows[one].seq, mac=rows[one].mac),
            replace(rows[one], seq=rows[two].seq, mac=rows[two].mac),
        )
    of.put(rows, of.points())


# -- without keys: the end -------------------------------------------------------------------------------------------------


def truncate_rows(of: Folder) -> None:
    """Everything after a row, checkpoints left."""
    rows = of.rows()
    of.put(rows[: of.some(len(rows) - 1, 0)], of.points())


def truncate_with_checkpoints(of: Folder) -> None:
    """Everything after a row, with the checkpoints over it."""
    rows = of.rows()
    left = rows[: of.some(len(rows) - 1, 0)]
    of.put(left, [point for point in of.points() if point.seq <= len(left)])


def truncate_with_head_file(of: Folder) -> None:
    """The same, and `audit.head` says what the log says, or is gone; sometimes back to a row that a checkpoint covers exactly."""
    rows, points = of.rows(), of.points()
    end = of.random.choice(points[:-1]).seq if of.random.random() < 0.5 else of.some(len(rows) - 1, 0)
    left = rows[:end]
    of.put(left, [point for point in points if point.seq <= end])
    of.put_head(left[-1] if left and of.random.random() < 0.7 else None)


def cut_tail(of: Folder) -> None:
    """The last few rows, as somebody would who just did something."""
    rows, points = of.rows(), of.points()
    left = rows[: -of.some(5)]
    keeps = of.random.choice(["rows", "checkpoints", "head file"])
    of.put(left, points if keeps == "rows" else [point for point in points if point.seq <= len(left)])
    if keeps == "head file":
        of.put_head(left[-1])


def remove_checkpoint(of: Folder) -> None:
    """One checkpoint, the last one as often as any other; half of the time those behind it are renumbered."""
    points = of.points()
    gone = len(points) - 1 if of.random.random() < 0.3 else of.some(len(points) - 1, 0)
    left = points[:gone] + points[gone + 1 :]
    if of.random.random() < 0.5:
        left = left[:gone] + [replace(point, number=point.number - 1) for point in left[gone:]]
    of.put(of.rows(), left)


def edit_checkpoint(of: Folder) -> None:
    """One field of one checkpoint."""
    points = of.points()
    point, field = of.random.choice(points), of.random.choice(["at", "digest", "previous", "key_id", "signature"])
    old: Any = getattr(point, field)
    new: Any = old + 1 if isinstance(old, int) else of.random.randbytes(len(old)) if isinstance(old, bytes) else "00000000"
    of.put(of.rows(), [replace(other, **{field: new}) if other is point else other for other in points])


def roll_back(of: Folder) -> None:
    """An earlier copy of the database, alone, with the files beside it, or with those gone."""
    older = of.random.choice(of.older)
    beside = of.random.choice([(), BESIDE[:1], BESIDE, None])
    for name in BESIDE if beside is None else ():
        (of.path / name).unlink()
    for name in ("z4j.db", *(beside or ())):
        if (older / name).exists():
            shutil.copy(older / name, of.path / name)
        else:
            (of.path / name).unlink()


# -- signed anew -----------------------------------------------------------------------------------------------------------


def _forged(of: Folder) -> tuple[list[AuditRow], int]:
    """Rows with one of them edited, exchanged, or taken out from before the end, and the first that has to be signed anew."""
    rows = of.rows()
    first = of.some(len(rows) - 3)
    match of.random.choice(["edit", "swap", "delete"]):
        case "edit":
            rows[first - 1] = replace(rows[first - 1], actor="eve", target="nothing")
        case "swap":
            one, two = rows[first - 1], rows[first]
            rows[first - 1], rows[first] = replace(two, seq=one.seq), replace(one, seq=two.seq)
        case _:
            rows = rows[: first - 1] + [replace(row, seq=row.seq - 1) for row in rows[first:]]
    return rows, first


def _put_signed(of: Folder, mac_key: bytes, sign_key: Ed25519PrivateKey, *, with_witnesses: bool) -> None:
    rows, first = _forged(of)
    points = [point for point in of.points() if point.seq <= len(rows)]
    made, signed = rechain(rows, points, first, mac_key, sign_key)
    of.put(made, signed)
    of.put_head(made[-1])
    if with_witnesses:
        of.put_witnesses(signed)


def rechain_without_keys(of: Folder) -> None:
    """Signed anew with keys of one's own, which half of the time take the place of the server's."""
    mac_key, sign_key = of.random.randbytes(32), Ed25519PrivateKey.from_private_bytes(of.random.randbytes(32))
    if of.random.random() < 0.5:
        (of.path / "audit.key").write_bytes(mac_key)
        (of.path / "audit.ed25519").write_bytes(sign_key.private_bytes_raw())
    _put_signed(of, mac_key, sign_key, with_witnesses=of.random.random() < 0.5)


def rechain_with_one_key(of: Folder) -> None:
    """The rows with the server's key, the checkpoints as they were, or with a key of one's own."""
    rows, first = _forged(of)
    points = [point for point in of.points() if point.seq <= len(rows)]
    own = Ed25519PrivateKey.from_private_bytes(of.random.randbytes(32))
    made, signed = rechain(rows, points, first, (of.path / "audit.key").read_bytes(), own)
    match of.random.choice(["left", "own", "none"]):
        case "left":
            signed = points
        case "none":
            signed = [point for point in points if point.seq < first]
    of.put(made, signed)
    of.put_head(made[-1])


def rechain_with_keys(of: Folder) -> None:
    """Rows, checkpoints and `audit.head`, with both keys of the server."""
    sign_key = Ed25519PrivateKey.from_private_bytes((of.path / "audit.ed25519").read_bytes())
    _put_signed(of, (of.path / "audit.key").read_bytes(), sign_key, with_witnesses=False)


def rewrite_everything(of: Folder) -> None:
    """The same, and `audit.witnesses` too: nothing in the data folder contradicts the forged log any more."""
    sign_key = Ed25519PrivateKey.from_private_bytes((of.path / "audit.ed25519").read_bytes())
    _put_signed(of, (of.path / "audit.key").read_bytes(), sign_key, with_witnesses=True)


KINDS: Final[dict[str, Callable[[Folder], None]]] = {
    of.__name__: of
    for of in (
        edit, delete, insert, swap, truncate_rows, truncate_with_checkpoints, truncate_with_head_file, cut_tail, remove_checkpoint,
        edit_checkpoint, roll_back, rechain_without_keys, rechain_with_one_key, rechain_with_keys, rewrite_everything,
    )
}  # fmt: skip
