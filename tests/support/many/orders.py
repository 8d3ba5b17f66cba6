# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one task of the applications: it testifies that it ran, and fails until $UNLOCK exists.

A line of $WITNESS is `<engine> <order>`; one `write` with O_APPEND each, so the file is true whoever is killed in between.
"""

from __future__ import annotations

import os

_witness = os.open(os.environ.get("WITNESS", "/dev/null"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def execute(engine: str, order: int) -> int:
    os.write(_witness, f"{engine} {order}\n".encode())
    if not os.path.exists(os.environ["UNLOCK"]):
        raise ConnectionError(f"warehouse refused order {order}")
    return order
