# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a monitoring system is told: a status code, a word, and which duty fails; no path and no message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.web.pages.conftest import Shop
from z4j.exceptions import StoreError
from z4j.web.pages.monitoring import health


def asked(shop: Shop) -> tuple[int, dict[str, Any]]:
    answer = shop.get("/healthz", Accept="application/json")
    return answer.status_code, answer.json()


def test_anyone_may_ask_and_is_told_of_every_duty(shop: Shop) -> None:
    shop.forget()
    code, body = asked(shop)
    assert (code, body["status"], body["database"], body["retention"]) == (200, "ok", "ok", "ok")
    assert {name for name, _, _ in shop.server.background.table()} <= {duty["name"] for duty in body["duties"]}
    assert {duty["state"] for duty in body["duties"]} <= {"ok", "waiting"}
    text = shop.get("/healthz")
    assert (text.status_code, text.text) == (200, "ok\n")


def test_a_duty_that_fails_is_named_without_its_message(shop: Shop, tmp_path: Path) -> None:
    shop.server.duties.add("a duty of the test", 3_600).failed(OSError(24, "Too many open files", str(tmp_path / "z4j.db")))
    code, body = asked(shop)
    assert (code, body["status"]) == (200, "degraded"), "it serves, so it is not taken out of service"
    [duty] = [of for of in body["duties"] if of["name"] == "a duty of the test"]
    assert (duty["state"], duty["cause"], duty["failures"], duty["succeeded_at"]) == ("failing", "no_file_descriptors", 1, None)
    text = shop.get("/healthz").text
    assert "a duty of the test" in text
    for answer in (text, str(body)):
        assert str(tmp_path) not in answer
        assert "Too many" not in answer


def test_a_database_that_does_not_answer_is_a_503(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(store: object) -> bool:
        raise StoreError("The database could not be read: disk I/O error at /secret/z4j.db")

    monkeypatch.setattr(health, "has_admin", fail)
    code, body = asked(shop)
    assert (code, body["status"], body["database"]) == (503, "unavailable", "storage")
    text = shop.get("/healthz")
    assert text.status_code == 503
    assert "secret" not in text.text + str(body)
