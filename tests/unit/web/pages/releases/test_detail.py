# SPDX-License-Identifier: AGPL-3.0-or-later
"""One release beside those before it: a verdict where the sample allows one, hostile names, retrying once it is replaced."""

from __future__ import annotations

from typing import Any

from tests.support.database import SECOND, T, origin, task
from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j import clock

MINUTE = 60 * SECOND
AT = T // MINUTE * MINUTE


def runs(shop: Shop, boot: str, release: str, at: int, count: int, bad: int, name: str = "shop.mail") -> None:
    """One run every second; the first `bad` of them fail."""
    records: list[Any] = [origin(boot, at, release=release)]
    for number in range(count):
        id, begin = f"{boot}-{number}", at + number * SECOND
        head: dict[str, Any] = {"name": name, "run": f"{boot}.7"}
        records.append(task("started", id, begin, **head))
        end = (begin, begin + 100_000, 90_000)
        records.append(task("failed", id, begin + 100_000, *end, "", "BrokenPipeError", "bad", "", **head) if number < bad
                       else task("succeeded", id, begin + 100_000, *end, "ok", **head))  # fmt: skip
    shop.tell(*records)


def test_a_release_that_fails_more_is_worse(shop: Shop) -> None:
    clock.use(lambda: (AT + 2 * 3_600 * SECOND) * 1_000)
    runs(shop, "old", "1.9", AT, 600, 3)
    runs(shop, "new", f"2.0{EVIL}", AT + 30 * MINUTE, 300, 30)
    path = "/releases/" + "2.0%3Cb%20onclick%3D%22x%22%3E%26"
    page = shop.get(path)
    assert page.status_code == 200
    assert "<b onclick" not in page.text
    text = text_of(page)
    for words in ("1 worse", "shop.mail", "30 of 300 (10%) failed, 3 of 600 (0.5%) before (Fisher's exact test, p < 0.0001)", "30 (10%)"):
        assert words in text
    assert "can be retried once a newer release is running" in text
    answer = shop.get(f"{path}.json").json()
    [found] = answer["names"]
    assert (found["word"], found["after"]["ended"], found["before"]["ended"]) == ("worse", 300, 600)
    assert found["verdicts"][1]["word"] == "no difference"
    assert "too few runs" in text_of(shop.get("/releases/1.9")), "nothing was before it"


def test_its_failures_can_be_retried_once_a_newer_release_is_seen(shop: Shop) -> None:
    clock.use(lambda: (AT + 2 * 3_600 * SECOND) * 1_000)
    runs(shop, "bad", "1.9", AT + 5 * MINUTE, 60, 20)
    assert "Retry failed tasks" not in shop.get("/releases/1.9").text
    runs(shop, "new", "2.0", AT + 10 * MINUTE, 60, 0)
    page = shop.get("/releases/1.9")
    assert "/plans/new?" in page.text
    assert "replaced by" in text_of(page)
    assert "BrokenPipeError" in text_of(page), "an error that began with it"
    shop.become("vera")
    assert "Retry failed tasks" not in shop.get("/releases/1.9").text


def test_an_unknown_release_is_not_found(shop: Shop) -> None:
    assert shop.get("/releases/none").status_code == 404
    assert shop.get("/releases/1.0?app=nobody").status_code == 404
