# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people do when the demo opens: plans and schedules of z4j's own, through the same operations as the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from z4j.app import Server


async def open_demo(server: Server) -> None:
    """Runs once the server listens."""
