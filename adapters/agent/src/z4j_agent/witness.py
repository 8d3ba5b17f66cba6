# SPDX-License-Identifier: Apache-2.0
"""The agent as a witness of the server's audit log: it keeps the last head it was shown, and says so when a server cannot extend it.

A head is `{seq, at, digest, key_id, signature}`: the digest over every row of the log up to `seq`, signed by the server. Whoever holds
the server's keys can rewrite its log and sign it anew, but not what lies here. The agent checks no signature (that needs nothing from
it: anybody can, with the kept file and an export of the log); it compares what it is shown with what it was shown before.

Used by the agent's thread alone. Processes that share a spool folder share the file.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

FILE = "audit_head"
BROKEN = "audit_head.broken"
"""The head that a server could not extend: the first one stays, as evidence."""
FIELDS = ("seq", "at", "digest", "key_id", "signature")
NEWER_FIELDS = ("number", "previous")
"""Of checkpoints that are numbered and chained; a server from before that sends none."""


class Witness:
    """`folder` is the spool folder; without one the head is kept in memory, for the life of the process."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None

    def kept(self) -> dict[str, Any] | None:
        """The last head that was shown, or None when there is none that can be read."""
        if self._folder is None:
            return self._memory
        try:
            fd = os.open(self._folder / FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            with os.fdopen(fd, "rb") as file:
                return _checked(json.loads(file.read(4_096)))
        except (OSError, ValueError):
            return None

    def in_hello(self) -> dict[str, Any]:
        """What hello says of it; what is shown from then on is compared with this."""
        self._last = self.kept()
        return _in_frame(self._last)

    def in_frame(self) -> dict[str, Any]:
        """What a heartbeat says of it: the head on disk, so that a server whose log was replaced while it ran is found, too."""
        return _in_frame(self.kept())

    def see(self, said: dict[str, Any] | None) -> str:
        """Compares a head of the server with the one before it and keeps it. Returns what is wrong with the server's log, or ''.

        Compared is what this very connection was told of last, not the file: another process of the folder may be ahead of us.
        """
        last, shown = self._last, _checked(said)
        wrong = _what_is_wrong(last, shown, said) if last else ""
        if wrong and last:
            self._keep(BROKEN, last, is_first=True)
        kept = self.kept()
        if shown is not None and (wrong or kept is None or shown["seq"] > kept["seq"]):
            self._keep(FILE, shown)
        elif wrong:
            self._drop()
        self._last = shown
        return wrong

    def _keep(self, name: str, head: dict[str, Any], *, is_first: bool = False) -> None:
        if self._folder is None:
            self._memory = head if name == FILE else self._memory
            return
        if is_first and (self._folder / name).exists():
            return
        fresh = self._folder / f"{name}.{os.getpid()}"
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "w") as file:
                json.dump(head, file)
            fresh.replace(self._folder / name)
        except OSError:  # a full disk: an older head is kept, which is as true
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)

    def _drop(self) -> None:
        """The server has no head to be compared with any more; that was said once."""
        self._memory = None
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink(missing_ok=True)


def _in_frame(head: dict[str, Any] | None) -> dict[str, Any]:
    return {"audit_head": {"seq": head["seq"], "digest": head["digest"]}} if head else {}


def _checked(said: Any) -> dict[str, Any] | None:
    """The head in what a server or a file says, or None when there is none in it."""
    if not isinstance(said, dict):
        return None
    head = {name: said.get(name) for name in FIELDS} | {name: said[name] for name in NEWER_FIELDS if name in said}
    seq, digest = head["seq"], head["digest"]
    is_whole = isinstance(seq, int) and seq > 0 and isinstance(digest, str) and len(digest) == 64 and digest.isalnum()
    return head if is_whole else None


def _what_is_wrong(kept: dict[str, Any], shown: dict[str, Any] | None, said: dict[str, Any] | None) -> str:
    if shown is None:
        return f"row {kept['seq']} was shown here, and now the server has no signed head at all"
    if shown["seq"] < kept["seq"]:
        return f"row {kept['seq']} was shown here, and now the log ends at row {shown['seq']}"
    if shown["seq"] == kept["seq"] and shown["digest"] != kept["digest"]:
        return f"row {kept['seq']} is not the one that was shown here"
    if shown["key_id"] != kept["key_id"]:
        return f"it is signed with key {shown['key_id']}, not with {kept['key_id']} as before"
    if said is not None and said.get("extends") is False:
        return f"the server says itself that it does not hold row {kept['seq']} as it was shown here"
    return ""
