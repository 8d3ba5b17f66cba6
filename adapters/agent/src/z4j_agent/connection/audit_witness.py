# SPDX-License-Identifier: Apache-2.0
"""The agent as a witness of the server's audit log: it stores the last head that it received, and reports a server that cannot extend it.

A head is `{seq, at, digest, key_id, signature}`: the digest over every row of the log up to `seq`, signed by the server. Anyone with the
server's keys can rewrite and sign its log again, but cannot change this file. The agent checks no signature: anyone can do that with the
stored file and an export of the log. It compares each head with the one before.

Used by the agent's thread alone. Processes that share a spool folder share the file.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from z4j_agent.spool.shared_file import SharedJson

FILE = "audit_head"
BROKEN = "audit_head.broken"
"""The head that a server could not extend. The first one is kept as evidence."""
RESTORED = "audit_head.restored"
"""The last head that a server reported as abandoned by a restored backup. An auditor can look for that restore in the log."""
FIELDS = ("seq", "at", "digest", "key_id", "signature")
NEWER_FIELDS = ("number", "previous")
"""Fields of numbered and chained checkpoints; older servers do not send them."""


class Witness:
    """Reads and stores heads (see the module) in the spool folder `folder`; without one the head is kept in memory until the process ends.
    Never raises: an unreadable file is reported as a fault, and a head that cannot be written is left out."""

    def __init__(self, folder: Path | None) -> None:
        self._head = SharedJson(None if folder is None else folder / FILE, _read)
        self._broken = SharedJson(None if folder is None else folder / BROKEN, _read)
        self._restored = SharedJson(None if folder is None else folder / RESTORED, _read)
        self.restored_by = 0
        """The row of the restore that the server named for the last head that was received; 0 if it named none."""
        self._last: dict[str, Any] | None = None

    def stored_head(self) -> dict[str, Any] | None:
        """Returns the last head that was received; None if there is none, or if the file was never readable."""
        return self._head.read()

    def in_hello(self) -> dict[str, Any]:
        """Returns the fields of a hello: {"audit_head": {"seq", "digest"}}, {} without a head. Later heads are compared with the head in
        them."""
        self._last = self.stored_head()
        return _in_frame(self._last)

    def in_frame(self) -> dict[str, Any]:
        """Returns the fields of a heartbeat, in the form of `in_hello`: the head on disk, so that a server whose log was replaced while it
        ran is found, too."""
        return _in_frame(self.stored_head())

    def see(self, head: dict[str, Any] | None) -> str:
        """Compares a head of the server with the one before, and stores it. Returns the contradiction in the server's log, or "".

        The comparison is with the last head on this connection, not with the file, which another process of the folder may have updated.
        A head that a restored backup abandoned, as the server reports with the row of the restore, is no contradiction.
        """
        last, shown = self._last, _checked(head)
        self.restored_by = _restore_in(head, shown) if last else 0
        wrong = _contradiction(last, shown, head) if last and not self.restored_by else ""
        if self.restored_by and last:
            _keep(self._restored, last)
        if wrong and last and self._broken.read() is None and self._broken.error is None:
            _keep(self._broken, last)
        previous = self.stored_head()
        if previous is None and isinstance(self._head.error, OSError):
            pass  # the file exists and may become readable again: it is not replaced without being read
        elif shown is not None and (wrong or self.restored_by or previous is None or shown["seq"] > previous["seq"]):
            _keep(self._head, shown)
        elif wrong:
            with contextlib.suppress(OSError):  # the server no longer has a head to compare with; that was reported once
                self._head.remove()
        self._last = shown
        return wrong


def _keep(file: SharedJson[dict[str, Any]], head: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk: an older head is kept, which is still valid
        file.replace(head)


def _read(content: Any) -> dict[str, Any]:
    """The head in a file's content. Raises ValueError if it contains none."""
    if (head := _checked(content)) is None:
        raise ValueError("no head of an audit log")
    return head


def _in_frame(head: dict[str, Any] | None) -> dict[str, Any]:
    return {"audit_head": {"seq": head["seq"], "digest": head["digest"]}} if head else {}


def _checked(content: Any) -> dict[str, Any] | None:
    """The head in a frame or a file, or None if it contains none."""
    if not isinstance(content, dict):
        return None
    head = {name: content.get(name) for name in FIELDS} | {name: content[name] for name in NEWER_FIELDS if name in content}
    seq, digest = head["seq"], head["digest"]
    is_whole = isinstance(seq, int) and seq > 0 and isinstance(digest, str) and len(digest) == 64 and digest.isalnum()
    return head if is_whole else None


def _restore_in(head: dict[str, Any] | None, shown: dict[str, Any] | None) -> int:
    """The row of a restore, which must be part of the log that is shown; 0 if there is none."""
    restored = head.get("restored") if isinstance(head, dict) else None
    row = restored.get("row") if isinstance(restored, dict) else None
    return row if isinstance(row, int) and shown is not None and 0 < row <= shown["seq"] else 0


def _contradiction(stored: dict[str, Any], shown: dict[str, Any] | None, head: dict[str, Any] | None) -> str:
    if shown is None:
        return f"row {stored['seq']} was received here, but the server no longer has a signed audit head"
    if shown["seq"] < stored["seq"]:
        return f"row {stored['seq']} was received here, but the log now ends at row {shown['seq']}"
    if shown["seq"] == stored["seq"] and shown["digest"] != stored["digest"]:
        return f"row {stored['seq']} differs from the one that was received here"
    if shown["key_id"] != stored["key_id"]:
        return f"it is signed with key {shown['key_id']}, not with {stored['key_id']} as before"
    if head is not None and head.get("extends") is False:
        return f"the server reports that row {stored['seq']} is missing or differs from the one that was received here"
    return ""
