# SPDX-License-Identifier: AGPL-3.0-or-later
"""Task names that no worker has registered."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.findings.examples import SHOP, T
from tests.unit.rules.findings.fleet.examples import end
from z4j.rules.findings.fleet import unregistered_tasks
from z4j.rules.findings.fleet.process import MINUTE_US
from z4j.rules.findings.fleet.unregistered_tasks import WaitingName


def waiting(**changes: Any) -> WaitingName:
    fields: dict[str, Any] = {
        "scope": SHOP, "name": "emails.new", "queue": "emails", "tasks": 12, "workers": 3, "started": 0, "waits_us": 2 * MINUTE_US,
    }  # fmt: skip
    return WaitingName(**(fields | changes))


def test_a_name_that_workers_reject_or_do_not_have() -> None:
    [finding] = unregistered_tasks.find([end(14, "rejected", "unknown_task", "emails.new", "emails")], [waiting()])
    assert (finding.kind, finding.title) == ("unregistered", "emails.new is not registered")
    assert finding.text == "workers of emails rejected 14 tasks as unknown in 15 minutes"
    [other] = unregistered_tasks.find([end(1, "rejected", "malformed", "emails.new")], [waiting()])
    assert other.title == "No worker has registered emails.new"
    assert other.text == "12 tasks waiting in emails, and none started in the last hour"
    assert other.why.startswith("3 connected workers (celery) have registered other names")
    for changes in ({"workers": 0}, {"started": 1}, {"waits_us": MINUTE_US - 1}):
        assert unregistered_tasks.find([], [waiting(**changes)]) == []


def test_a_rejected_name_is_over_when_it_is_registered_and_those_that_rejected_it_are_gone() -> None:
    rejected = end(14, "rejected", "unknown_task", "emails.new", "emails")
    gone = rejected._replace(is_there=False)
    assert unregistered_tasks.find([gone], []), "nothing has registered it"
    assert unregistered_tasks.find([rejected._replace(registered_at=T)], []), "a deployment is half done"
    assert unregistered_tasks.find([gone._replace(registered_at=T)], []) == []
    assert unregistered_tasks.find([gone._replace(registered_at=T), rejected._replace(queue="other")], []), "of another queue"


def test_only_rejections_as_unknown_and_from_the_first_on() -> None:
    assert unregistered_tasks.find([end(3, "failed", "unknown_task")], []) == []
    early, late = (end(3, "rejected", "unknown_task")._replace(first_at=at, queue=name) for at, name in ((T - 9, "a"), (T - 5, "b")))
    [finding] = unregistered_tasks.find([late, early], [])
    assert (finding.since, finding.weight) == (T - 9, 700)
    assert finding.text == "workers rejected 6 tasks as unknown in 15 minutes", "of several queues"
    assert unregistered_tasks.find([end(90, "rejected", "unknown_task")], [])[0].weight == 800
    there, registered = (end(1, "rejected", "unknown_task")._replace(is_there=False, registered_at=at) for at in (None, T))
    assert unregistered_tasks.find([there, registered], []) == [], "one of the processes that rejected it is gone, and it is registered"


def test_waiting_for_a_minute_in_any_queue() -> None:
    assert unregistered_tasks.LEAST_WAIT_US == MINUTE_US
    [finding] = unregistered_tasks.find([], [waiting(waits_us=MINUTE_US, queue="", tasks=90)])
    assert finding.text == "90 tasks waiting in a queue, and none started in the last hour"
    assert finding.weight == 800
