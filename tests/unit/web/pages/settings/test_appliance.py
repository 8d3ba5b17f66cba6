# SPDX-License-Identifier: AGPL-3.0-or-later
"""The state of every background duty, and the limits."""

from __future__ import annotations

import dataclasses
import functools
from typing import get_args

import pytest

from tests.support.site import text_of
from tests.support.stack import wait_for
from tests.unit.web.pages.conftest import Shop
from z4j import clock
from z4j.clock import DAY_US
from z4j.rules.backups import OLD_US
from z4j.store.backups.backup_results import RESULTS, BackupResult, BackupResults, folder_of, write_results
from z4j.store.tasks.bulk_deletion import oldest_task
from z4j.store.tasks.disk_usage import Kind
from z4j.web.pages.settings.appliance import WORDS


def test_every_kind_of_data_has_words() -> None:
    assert WORDS.keys() == set(get_args(Kind))


def test_the_appliance_page_says_what_fails_and_what_cannot_be_held(shop: Shop) -> None:
    server = shop.server
    text = text_of(shop.get("/settings/appliance"))
    assert "Background duties" in text
    assert "due tasks" in text
    assert "not held" not in text

    def shown(path: str) -> str:
        """With a failure of this moment: the server's own loops go on meanwhile."""
        retention = server.background.retention
        server.duties.add("due tasks", 1).failed(OSError(24, "Too many open files"))
        retention.report = dataclasses.replace(retention.report, why_not_held="the audit log is large")
        return text_of(shop.get(path))

    wait_for(lambda: "due tasks OSError: [Errno 24] Too many open files" in shown("/settings/appliance"), what="the error")
    wait_for(lambda: "The retention limits are exceeded: the audit log is large." in shown("/settings/appliance"), what="the limits")
    wait_for(lambda: shown("/healthz").startswith("degraded due tasks: failing, no_file_descriptors, last succeeded "), what="the duty")
    wait_for(lambda: "retention: limits exceeded" in shown("/healthz"), what="the limits")


def test_the_limits_and_the_space_that_is_used_are_shown(shop: Shop) -> None:
    page = shop.get("/settings/appliance")
    assert page.status_code == 200
    assert str(shop.server.settings.days_kept) in text_of(page).replace(",", "")
    for name, _, _ in shop.server.background.table():
        assert name in text_of(page)


def test_the_error_of_a_duty_is_escaped(shop: Shop) -> None:
    shop.server.duties.add("a duty of the test", 3_600).failed(ValueError("<b onclick=x>"))
    page = shop.get("/settings/appliance")
    assert "<b onclick=x>" not in page.text
    assert "<b onclick=x>" in text_of(page)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 403), ("auditor", 200)])
def test_auditors_and_administrators_read_it(shop: Shop, role: str, status: int) -> None:
    shop.become({"viewer": "vera", "operator": "olga", "auditor": "otto"}[role])
    assert shop.get("/settings/appliance").status_code == status


def test_backups_are_listed_with_their_result_and_what_to_do(shop: Shop) -> None:
    settings, at = shop.server.settings, clock.now()
    wait_for(lambda: "The first one is due at 03:00 UTC" in text_of(shop.get("/settings/appliance")), what="the panel")
    folder = folder_of(settings.data)
    folder.mkdir(exist_ok=True)
    good = BackupResult(at - OLD_US - 1, "z4j-1.db", 9_000_000, 3.0, 100, 7)
    gone = BackupResult(at - 2 * OLD_US, "z4j-0.db", 9_000_000, 3.0, 100, 6)
    (folder / good.file).touch()
    write_results(settings.data, BackupResults(1, (good, gone)))
    text = text_of(shop.get("/settings/appliance"))
    assert "The last successful backup is older than two days." in text
    assert "z4j-1.db verified 9.0 MB" in text.replace("\u202f", " ")
    assert "z4j-0.db" not in text
    assert str(folder) in text
    write_results(settings.data, BackupResults(1, (BackupResult(at, problem="The disk is full."), good)))
    text = text_of(shop.get("/settings/appliance"))
    assert "The last nightly backup failed. The disk is full." in text
    (folder / RESULTS).write_text("{")
    assert "The server sets it aside and writes it again. The backups beside it are not affected." in text_of(
        shop.get("/settings/appliance")
    )


def test_what_is_kept_what_it_costs_and_what_is_deleted_next(shop: Shop) -> None:
    """Seen half a day after the oldest task, after four days, and half a day before it is deleted."""

    def shown() -> str:
        return text_of(shop.get("/settings/appliance")).replace("\u202f", " ").replace("\xa0", " ")

    state = shop.server.asgi.state
    settings = dataclasses.replace(shop.server.settings, days_kept=14, originals_days_kept=7)
    state.services = dataclasses.replace(state.services, settings=settings)
    assert "finished tasks for 14 days, originals of succeeded tasks for 7 days, 10 GB in total" in shown()
    oldest = shop.call(oldest_task, shop.server.store)
    for days, has_cost, is_next in ((0.5, False, False), (4.0, True, False), (13.5, True, True)):
        at = int(oldest + days * DAY_US)
        clock.use(functools.partial(int, at * 1_000))
        try:
            shop.become("otto")  # a session does not last that long
            text = shown()
        finally:
            clock.use()
        assert ("measured when the oldest task is a day old" in text) != has_cost, text
        assert (f"measured over {round(days)} days" in text) == has_cost, text
        number = int(text.split("Next cleanup ")[1].split(" ")[0].replace(",", ""))
        assert (number > 0) == is_next, text
