# SPDX-License-Identifier: AGPL-3.0-or-later
"""A schedule as the form sends it, and how the tests of this folder ask for schedules."""

from __future__ import annotations

from typing import Any

from tests.support.site import Site
from z4j.store.schedules import schedules

SECOND = 1_000_000


NEW = {
    "app": "shop", "scheduler": "z4j", "engine": "celery", "environment": "production", "name": "nightly", "task_name": "shop.ship",
    "kind": "cron", "expression": "30 2 * * 1-5", "timezone": "Europe/Berlin", "args": "[7]", "kwargs": "{}", "is_enabled": "on",
}  # fmt: skip


def rows(shop: Site) -> dict[str, schedules.ScheduleRow]:
    return {row.name: row for row in shop.call(schedules.list_schedules, shop.server.store)}


def ask(shop: Any, method: str, path: str, body: Any = None, role: str = "operator") -> Any:
    headers = {"Authorization": f"Bearer {shop.tokens[role]}"}
    return shop.client.request(method, f"/api/v1{path}", json=body, headers=headers)
