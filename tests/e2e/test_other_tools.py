# SPDX-License-Identifier: AGPL-3.0-or-later
"""The trace ID of OpenTelemetry and the event ID of Sentry, from their real SDKs beside Celery to the page of the task: with the links of
Settings → Links, found by the search, and with their own spans and events as they are without z4j."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.browserless import Person
from tests.support.stack import CELERY_PYTHON, ROOT, Stack, stack, wait_for

pytestmark = pytest.mark.timeout(300)
TRACING = "https://tracing.example/trace/{trace_id}"
SENTRY = "https://sentry.example/organizations/shop/issues/?query={sentry_event_id}"


def variables(shop: Stack) -> dict[str, str]:
    return {
        "OTHER_TOOLS": "before", "OTHER_TOOLS_FILE": str(shop.folder / "tools.jsonl"),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "adapters/celery/tests/apps"))),
    }  # fmt: skip


def kept(shop: Stack) -> list[dict[str, Any]]:
    """What both SDKs sent."""
    file = shop.folder / "tools.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def enqueue(shop: Stack, kind: str, *args: Any) -> str:
    done = shop.run(CELERY_PYTHON, "engine_app", env=variables(shop) | {"OTHER_TOOLS": ""}, stdin=json.dumps([kind, args, {}, {}]) + "\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ids_are_on_the_page_with_their_links(tmp_path: Path) -> None:
    with stack(tmp_path) as shop:
        shop.command("migrate")
        shop.add_app()
        shop.start_server()
        shop.start_broker()
        ada = Person.sign_in(shop)
        for name, url in (("Trace", TRACING), ("Sentry", SENTRY)):
            ada.post("/settings/links", {"name": name, "url": url})
        worker = shop.start(
            "worker",
            [CELERY_PYTHON, "-m", "celery", "-A", "engine_app", "worker", "-Q", "work", "-c", "1", "--loglevel", "INFO"], variables(shop),
        )  # fmt: skip
        wait_for(lambda: b" ready." in worker.log.read_bytes(), seconds=40, what=f"the worker is ready, see {worker.log}")
        failed = enqueue(shop, "fail", "no such door")
        spans = wait_for(lambda: [line for line in kept(shop) if line.get("span", "").startswith("run/")], what="the span of the run")
        [event] = wait_for(lambda: [line for line in kept(shop) if "event" in line], what="Sentry's event")
        assert (spans[0]["ok"], event["kinds"]) == (False, ["ValueError"]), "as they are without z4j"

        def is_shown() -> bool:
            return bool(shop.states().get(failed)) and event["event"] in ada.get_task(failed).text

        wait_for(is_shown, what="the page shows the event")
        page = ada.get_task(failed).text
        assert spans[0]["trace_id"] in page
        assert f'href="{TRACING.format(trace_id=spans[0]["trace_id"])}"' in page
        assert f'href="{SENTRY.format(sentry_event_id=event["event"])}"' in page
        for id in (spans[0]["trace_id"], event["event"]):
            search = re.search(rf'href="(/tasks\?[^"]*{id})"', page)
            assert search, "the ID is a link to a search"
            path, found = html.unescape(search[1]), f"/tasks/{ada.row_id(failed)}"
            wait_for(lambda path=path, found=found: found in ada.get(path).text, what=f"the search finds {id}")  # type: ignore[misc]
