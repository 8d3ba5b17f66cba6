# SPDX-License-Identifier: AGPL-3.0-or-later
"""The demo as a visitor meets it: one link, numbers that move, a failed task retried by a click that succeeds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import launched
from tests.support.stack import ROOT, wait_for
from z4j_agent.conformance.harness import free_port


@pytest.fixture(params=[pytest.param(("--engines", "celery"), id="celery"), pytest.param((), id="all engines", marks=pytest.mark.long)])
def link(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The demo on a port and in a folder of its own; ends with Ctrl-C, as a person would."""
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [sys.executable, "examples/demo/demo.py", "--data", str(tmp_path / "demo"), "--port", str(free_port()), *request.param],
            cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        links = wait_for(lambda: re.findall(r"http://\S+/login\S+", log.read_text()), seconds=60, what=f"the demo's link in {log}")
        yield links[0]
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(30) in (0, 130, -signal.SIGINT), log.read_text()[-2000:]
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout
    assert left == "", f"the demo left processes behind: {left}"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


def finished(page: Page) -> int:
    """The number of succeeded tasks as the state rail shows it."""
    return int(re.sub(r"\D", "", page.locator("[data-facet-state=succeeded] .n").inner_text()) or 0)


def test_demo_moves_and_a_click_retries(link: str, browser: Browser) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(link)
    page.goto(link.partition("/login")[0] + "/tasks")
    wait_for(lambda: finished(page) > 0, seconds=40, what="tasks appear without a reload")
    first = finished(page)
    wait_for(lambda: finished(page) > first, seconds=20, what="the numbers move without a reload")

    # inventory.reserve fails the first time it is asked for an order and succeeds when it is run again.
    page.goto(link.partition("/login")[0] + "/tasks?state=failed&name=inventory.reserve")
    row = page.locator("a.through", has_text="inventory.reserve").first
    wait_for(lambda: page.reload() and row.count(), seconds=60, what="a failed task")
    row.click()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Retried as")).to_be_visible(timeout=60_000)
    page.locator("[data-link=retried-as] a").first.click()
    expect(page.locator("h1 + .st, .summary .st").first).to_contain_text("succeeded", timeout=60_000)
    assert errors == []


def test_a_killed_demo_leaves_nothing_behind_and_a_second_one_is_told_how(tmp_path: Path) -> None:
    """SIGKILL, as by a closed terminal or by the out-of-memory killer; before that, another start names the holder and a way."""
    port, log = free_port(), tmp_path / "demo.log"
    command = [sys.executable, "examples/demo/demo.py", "--data", str(tmp_path / "demo"), "--port", str(port), "--engines", "celery"]
    with log.open("wb") as out:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(lambda: "It signs you in" in log.read_text() or demo.poll() is not None, seconds=90, what=f"the demo's link in {log}")
        assert demo.poll() is None, log.read_text()
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert again.returncode == 1
        assert re.search(rf"Port {port} is in use by process \d+ \(.*\), the demo of the data folder {tmp_path / 'demo'}\.", again.stderr)
        assert re.search(r"`kill \d+`, or run `make demo PORT=78\d\d`", again.stderr)
    finally:
        demo.kill()
        demo.wait(60)

    def left() -> str:
        return subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout

    wait_for(lambda: not left(), seconds=30, what="every child has ended")
    assert subprocess.run(["pgrep", "-f", f"port {port}"], capture_output=True, check=False).stdout == b""


def test_make_passes_the_port_on() -> None:
    said = subprocess.run(["make", "-n", "demo", "PORT=7800"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "examples/demo/demo.py --port 7800" in said
