# SPDX-License-Identifier: Apache-2.0
"""The example does what its README says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import wait_for
from z4j_agent.conformance.web import Site

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/django"


def test_the_example(tmp_path: Path, gateway: Gateway, broker: str) -> None:
    site: Any = Site(tmp_path, gateway.url, cwd=EXAMPLE, BROKER_URL=broker)
    try:
        site.start("worker", [site.python, "-m", "celery", "-A", "app", "worker", "-c", "1"], cwd=EXAMPLE)
        site.serve("app", "runserver", "127.0.0.1:{port}", is_asked=False)
        _, task_id = site.ask("/orders/7/")
        assert site.enqueued(gateway, task_id).meta["route"] == "GET /orders/<int:number>/"
        wait_for(lambda: [r for r in gateway.records(task_id) if r.kind == "succeeded"], "the task has run")
        wait_for(lambda: sorted(link.hello["role"] for link in gateway.links) == ["producer", "worker"], "both are connected")
        assert {link.hello["app"] for link in gateway.links} == {"example"}
    finally:
        site.tear_down()
