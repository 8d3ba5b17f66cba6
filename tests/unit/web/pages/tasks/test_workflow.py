# SPDX-License-Identifier: AGPL-3.0-or-later
"""The workflow of a task is drawn on its page and on a page of its own, and what failed in it becomes a frozen plan."""

from __future__ import annotations

import re
from typing import Any

from tests.support.database import SECOND, T, life, task
from tests.unit.web.pages.conftest import EVIL, Shop
from z4j.rules.workflows.workflow_graph import WorkflowLink, WorkflowTask, make_workflow
from z4j.store.workflows.workflow_tasks import WorkflowRead
from z4j.web.pages.tasks.workflow import make_view


def child(task_id: str, parent: str, at: int, end: str = "succeeded", **head: Any) -> list[list[Any]]:
    first, *rest = life(task_id, at, end, **head)
    return [[*first[:-1], {"parent_id": parent}], *rest]


def fill(shop: Shop) -> dict[str, int]:
    """order → charge ×3 (one failed) → the failed one's mail (failed) and a hostile name."""
    ends = {"c0": "succeeded", "c1": "failed", "c2": "succeeded"}
    charges = [child(id, "order", T + (n + 1) * SECOND, end, name="shop.charge") for n, (id, end) in enumerate(ends.items())]
    last = [child("mail", "c1", T + 9 * SECOND, "failed", name="shop.mail"), child("evil", "c2", T + 9 * SECOND, name=EVIL)]
    kept = task("payload", "c1", T, 2, "[]", False, [None, "AHt9"], "plain", name="shop.charge")
    shop.tell(kept, *life("order", T, name="shop.order"), *[record for records in (*charges, *last) for record in records])
    rows = shop.get("/tasks.json").json()["tasks"]
    return {row["task_id"]: row["id"] for row in rows}


def test_the_page_of_a_task_draws_its_workflow(shop: Shop) -> None:
    ids = fill(shop)
    page = shop.get(f"/tasks/{ids['c1']}").text
    drawing = page.partition('<svg class="flow')[2].partition("</svg>")[0]
    links = set(re.findall(r'<a class="box[^"]*" href="/tasks/(\d+)"', drawing))
    assert links == {str(ids[name]) for name in ("order", "c0", "c1", "c2", "mail", "evil")}
    assert "<title>shop.charge, failed, ran 0.9\u202fs</title>" in drawing
    assert drawing.count('aria-current="true"') == 1
    assert "Workflow of 6 tasks: 2 failed, 4 succeeded. Longest chain: 3 tasks, 2.7\u202fs." in page
    assert EVIL not in page
    alone = shop.get("/tasks.json?task_id=good").json()["tasks"][0]["id"]
    assert 'class="flow' not in shop.get(f"/tasks/{alone}").text, "a task without links has no drawing"


def test_the_workflow_lists_its_tasks_and_is_given_as_json(shop: Shop) -> None:
    ids = fill(shop)
    page = shop.get(f"/tasks/{ids['mail']}/workflow")
    assert page.status_code == 200
    for task_id in ("order", "c0", "c1", "c2", "mail", "evil"):
        assert f'<a class="through" href="/tasks/{ids[task_id]}"' in page.text
    assert EVIL not in page.text
    body = shop.get(f"/tasks/{ids['mail']}/workflow.json").json()
    assert {one["task_id"] for one in body["tasks"]} == set(ids) - {"f0", "f1", "f2", "good", "waits"}
    assert body["tasks"][0]["task_id"] == "order"
    assert {"source": ids["c1"], "target": ids["mail"], "kind": "parent"} in body["links"]
    assert body["critical_path"]["runtime_us"] == 2_700_000
    assert body["is_complete"] is True
    assert shop.get("/tasks/99999/workflow").status_code == 404


def test_what_failed_is_retried_by_a_frozen_plan_of_its_first_failed_tasks(shop: Shop) -> None:
    ids = fill(shop)
    page = shop.get(f"/tasks/{ids['order']}/workflow").text
    form = page.partition('<form class="form" method="post" action="/plans">')[2].partition("</form>")[0]
    assert re.findall(r'name="id" value="(\d+)"', form) == [str(ids["c1"])]
    assert "1 failed task is excluded" in form, "the retry of its parent creates it again"
    answer = shop.post("/plans", action="retry_task", id=str(ids["c1"]), reason="card host is back")
    assert answer.status_code == 303
    plan = shop.get(answer.headers["location"]).text
    assert "Retry 1 task" in plan
    assert f'"/tasks/{ids["c1"]}"' in plan
    shop.become("vera")
    assert 'action="/plans"' not in shop.get(f"/tasks/{ids['order']}/workflow").text


def wide(count: int) -> WorkflowRead:
    tasks = [WorkflowTask(0, "root", "shop.order", "rq", "succeeded", 0, 5)]
    tasks += [WorkflowTask(id, f"t{id}", "shop.charge", "rq", "failed" if id < 4 else "succeeded", id, id) for id in range(1, count)]
    return WorkflowRead(make_workflow(tasks, [WorkflowLink(0, id, "parent") for id in range(1, count)]), is_complete=False)


def test_like_siblings_are_one_box_that_leads_to_their_list() -> None:
    view = make_view(wide(100), 0)
    assert [(box.title, box.href) for box in view.boxes] == [("shop.order", "/tasks/0"), ("99 × shop.charge", "/tasks/0/workflow#group-1")]
    assert view.boxes[1].line == "3 failed · up to 0.1\u202fms"
    assert view.boxes[1].text == "99 × shop.charge: 3 failed, 96 succeeded, ran up to 0.1\u202fms"
    assert view.boxes[1].is_critical
    assert view.links[0].is_critical
    assert [(group.anchor, group.title, len(group.tasks)) for group in view.groups] == [
        ("group-0", "", 1),
        ("group-1", "99 × shop.charge", 99),
    ]
    assert view.total == "at least 100 tasks"
    assert view.is_narrow
    assert not make_view(wide(20), 0).is_narrow
