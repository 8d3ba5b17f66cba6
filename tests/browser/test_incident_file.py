# SPDX-License-Identifier: AGPL-3.0-or-later
"""The file of an incident in a browser without a network: it opens from the disk, asks for nothing, and holds no secret of the corpus that
was in the errors, in the arguments and in the notes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browserless import Person
from tests.support.canary.search import Search
from tests.support.database import task
from tests.support.stack import ROOT, Stack, stack, wait_for
from tests.support.wire_client import WireClient, now
from z4j_agent import wire
from z4j_agent.wire.redaction import MASK

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
CORPUS = json.loads((ROOT / "adapters/agent/tests/wire/data/redaction.json").read_text("utf-8"))
SHAPES: list[tuple[str, str]] = [tuple(shape) for part in ("shapes", "more_shapes") for shape in CORPUS[part].values()]
SECONDS = 1_000_000


def fail(shop: Stack) -> int:
    """One failure for each secret, with it in the error, in the traceback and in the arguments."""
    at = now()
    with WireClient(shop.url) as client:
        run = f"{client.boot}.7"
        records = []
        for number, (text, _) in enumerate(SHAPES):
            id, name = f"00000000-0000-4000-8000-{number:012}", f"shop.step_{number % 7}"
            ended = (None, at - SECONDS, SECONDS, "exception", f"Error{number}", text, f"Traceback of {name}\n{text}")
            records += [
                task("payload", id, at - 2 * SECONDS, 2, json.dumps([text]), False, None, "none", run=run, name=name),
                task("failed", id, at, *ended, run=run, name=name),
            ]  # fmt: skip
        client.send_and_wait(client.origin() + b"".join(map(wire.encode_record, records)))
    return len(SHAPES)


def record(ada: Person) -> bytes:
    """The file of an incident of the last hour, with a note for each secret."""
    at = ada.client.post("/incidents", data={"title": "Mails fail", "from": "2h"})
    path = re.search(r"/incidents/\d+", str(at.url))
    assert path, at.url
    for text, _ in SHAPES:
        ada.post(f"{path[0]}/note", {"text": text})
    ada.post(f"{path[0]}/end", {})
    return ada.get(f"{path[0]}.html").content


def test_it_opens_from_the_disk_without_a_network_and_without_a_secret(browser: Browser, tmp_path: Path) -> None:
    with stack(tmp_path) as shop:
        shop.command("migrate")
        shop.add_app()
        shop.start_server()
        ada = Person.sign_in(shop)
        failures = fail(shop)
        wait_for(lambda: shop.rows("SELECT count(*) FROM error_group")[0][0] >= failures // 2, seconds=40, what="the errors are grouped")
        whole = record(ada)
    file = tmp_path / "incident.html"
    file.write_bytes(whole)
    context = browser.new_context(offline=True)
    try:
        page, asked, problems = context.new_page(), list[str](), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(file.as_uri())
        text = page.inner_text("body")
        assert (asked, problems) == ([file.as_uri()], [])
        assert page.title().startswith("Mails fail")
        assert page.evaluate("document.styleSheets.length") == 1
    finally:
        context.close()
    assert text.count(MASK) > len(SHAPES) // 2, "what was typed and reported is there, masked"
    assert "Error1:" in text
    secrets = sorted({secret for _, secret in SHAPES if len(secret) >= 6})
    assert list(Search(secrets).hits(whole)) == []
