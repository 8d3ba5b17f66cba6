# SPDX-License-Identifier: AGPL-3.0-or-later
"""The newest checkpoint of the audit log in a cookie: the browser still has it after the server and its files were rolled back.

The checkpoint is signed, so the cookie needs no signature of its own: a checkpoint that this server did not sign is ignored.
"""

from __future__ import annotations

import base64
import json
from typing import Final

from z4j.rules.audit.checkpoints import Checkpoint

COOKIE: Final = "z4j_audit"
LONGEST: Final = 1_000
KEPT_S: Final = 400 * 24 * 3600
"""As long as browsers keep a cookie."""


def encode(point: Checkpoint) -> str:
    """Encodes a checkpoint as the value of the cookie."""
    values = [point.number, point.seq, point.at, point.digest.hex(), point.previous.hex(), point.key_id, point.signature.hex()]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(value: str) -> Checkpoint | None:
    """Returns the checkpoint of a cookie, None when the value is not one."""
    if not value or len(value) > LONGEST:
        return None
    try:
        number, seq, at, digest, previous, key_id, signature = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        if not all(isinstance(part, int) and 0 <= part < 1 << 62 for part in (number, seq, at)) or not isinstance(key_id, str):
            return None
        return Checkpoint(number, seq, at, bytes.fromhex(digest), bytes.fromhex(previous), key_id, bytes.fromhex(signature))
    except (ValueError, TypeError):
        return None
