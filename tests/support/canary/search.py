# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finds marks in bytes of any kind: in clear, as base64, percent-encoded, hexadecimal, UTF-16, escaped, and in what is compressed."""

from __future__ import annotations

import base64
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}")
CONTEXT = 60


def _forms(mark: str) -> set[bytes]:
    raw = mark.encode()
    found = {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), mark.encode("utf-16-le")}
    found |= {"".join(f"{prefix}{byte:02x}" for byte in raw).encode() for prefix in ("%", "\\x", "\\u00")}
    for before in range(3):  # base64 depends on where the text begins
        code = base64.b64encode(b"\0" * before + raw)
        found.add(code[-(-before * 8 // 6) : len(code) - 4 if (before + len(raw)) % 3 else len(code)])
    return {form for form in found if len(form) >= 7}


class Search:
    """For a set of marks."""

    def __init__(self, marks: Iterable[str]) -> None:
        self._pattern = re.compile(b"|".join(re.escape(form) for mark in marks for form in sorted(_forms(mark))))

    def hits(self, data: bytes, depth: int = 0) -> Iterator[bytes]:
        """What stands around each place, also within compressed or encoded parts."""
        for found in self._pattern.finditer(data):
            yield data[max(0, found.start() - CONTEXT) : found.end() + CONTEXT]
        if depth < 3:
            for part in _parts(data):
                yield from self.hits(part, depth + 1)

    def in_database(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """(table, what stands around) for every column of every row, each as it is and unpacked."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE rootpage > 0 AND type = 'table'").fetchall():
                for row in db.execute(f'SELECT * FROM "{table}"'):
                    for value in row:
                        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
                        if isinstance(data, bytes):
                            yield from ((table, hit) for hit in self.hits(data))


def _parts(data: bytes) -> Iterator[bytes]:
    for found in _ZLIB.finditer(data):
        try:
            inflater = zlib.decompressobj(47)  # zlib and gzip
            part = inflater.decompress(data[found.start() :], 4_000_000)
        except zlib.error:
            continue
        if len(part) > 8:
            yield part
    for found in _BASE64.finditer(data):
        text = found[0].replace(b"-", b"+").replace(b"_", b"/")
        part = base64.b64decode(text + b"=" * (-len(text) % 4)) if len(text) % 4 != 1 else b""
        if _ZLIB.search(part):  # base64 of the text itself is found as it stands
            yield part
