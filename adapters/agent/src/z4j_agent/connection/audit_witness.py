# SPDX-License-Identifier: Apache-2.0
"""The agent as a witness of the server's audit log: it keeps the last head it was shown, and says so when a server cannot extend it.

A head is `{seq, at, digest, key_id, signature}`: the digest over every row of the log up to `seq`, signed by the server. Whoever holds
the server's keys can rewrite its log and sign it anew, but not what lies here. The agent checks no signature (that needs nothing from
it: anybody can, with the kept file and an export of the log); it compares what it is shown with what it was shown before.

Used by the agent's thread alone. Processes that share a spool folder share the file.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from z4j_agent.spool.shared_file import SharedJson

FILE = "audit_head"
BROKEN = "audit_head.broken"
"""The head that a server could not extend: the first one stays, as evidence."""
FIELDS = ("seq", "at", "digest", "key_id", "signature")
NEWER_FIELDS = ("number", "previous")
"""Of checkpoints that are numbered and chained; a server from before that sends none."""


class Witness:
    """`folder` is the spool folder; without one the head is kept in memory, for the life of the process."""

    def __init__(self, folder: Path | None) -> None:
        self._head = SharedJson(None if folder is None else folder / FILE, _read)
        self._broken = SharedJson(None if folder is None else folder / BROKEN, _read)
        self._last: dict[str, Any] | None = None

    def stored_head(self) -> dict[str, Any] | None:
        """The last head that was shown; None when there is none, or none that was ever readable here."""
        return self._head.read()

    def in_hello(self) -> dict[str, Any]:
        """What hello says of it; what is shown from then on is compared with this."""
        self._last = self.stored_head()
        return _in_frame(self._last)

    def in_frame(self) -> dict[str, Any]:
        """What a heartbeat says of it: the head on disk, so that a server whose log was replaced while it ran is found, too."""
        return _in_frame(self.stored_head())

    def see(self, head: dict[str, Any] | None) -> str:
        """Compares a head of the server with the one before it and keeps it. Returns what is wrong with the server's log, or ''.

        Compared is what this very connection was told of last, not the file: another process of the folder may be ahead of us.
        """
        last, shown = self._last, _checked(head)
        wrong = _contradiction(last, shown, head) if last else ""
        if wrong and last and self._broken.read() is None and self._broken.error is None:
            _keep(self._broken, last)
        storeded_head = self.stored_head()
        if storeded_head is None and isinstance(self._head.error, OSError):
            pass  # there is one, and it may be readable again: it is not replaced unseen
        elif shown is not None and (wrong or storeded_head is None or shown["seq"] > storeded_head["seq"]):
            _keep(self._head, shown)
        elif wrong:
            with contextlib.suppress(OSError):  # the server has no head to be compared with any more; that was said once
                self._head.remove()
        self._last = shown
        return wrong


def _keep(file: SharedJson[dict[str, Any]], head: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk: an older head is kept, which is as true
        file.replace(head)


def _read(content: Any) -> dict[str, Any]:
    """The head in a file. Raises ValueError when there is none in it."""
    if (head := _checked(content)) is None:
        raise ValueError("no head of an audit log")
    return head


def _in_frame(head: dict[str, Any] | None) -> dict[str, Any]:
    return {"audit_head": {"seq": head["seq"], "digest": head["digest"]}} if head else {}


def _checked(content: Any) -> dict[str, Any] | None:
    """The head in what a server or a file says, or None when there is none in it."""
    if not isinstance(content, dict):
        return None
    head = {name: content.get(name) for name in FIELDS} | {name: content[name] for name in NEWER_FIELDS if name in content}
    seq, digest = head["seq"], head["digest"]
    is_whole = isinstance(seq, int) and seq > 0 and isinstance(digest, str) and len(digest) == 64 and digest.isalnum()
    return head if is_whole else None


def _contradiction(stored: dict[str, Any], shown: dict[str, Any] | None, head: dict[str, Any] | None) -> str:
    if shown is None:
        return f"row {stored['seq']} was received here, but the server now has no signed head"
    if shown["seq"] < stored["seq"]:
        return f"row {stored['seq']} was received here, but the log now ends at row {shown['seq']}"
    if shown["seq"] == stored["seq"] and shown["digest"] != stored["digest"]:
        return f"row {stored['seq']} differs from the one that was received here"
    if shown["key_id"] != stored["key_id"]:
        return f"it is signed with key {shown['key_id']}, not with {stored['key_id']} as before"
    if head is not None and head.get("extends") is False:
        return f"the server reports that row {stored['seq']} is missing or differs from the one that was received here"
    return ""
