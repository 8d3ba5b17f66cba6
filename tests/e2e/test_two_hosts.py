# SPDX-License-Identifier: AGPL-3.0-or-later
"""From the download to the first task of another machine, with no internet anywhere: two hosts that are connected with each other and with
nothing else. Where a machine cannot make network namespaces, this fails and is not skipped."""

from __future__ import annotations

import contextlib
import html
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.browserless import PASSWORD, Person
from tests.support.chromium import ARGUMENTS, CHROMIUM
from tests.support.connect_lines import add_engine, blocks, make_site, step_states, steps_path
from tests.support.executable import build
from tests.support.network_namespaces import SERVER, Hosts, two_hosts
from tests.support.stack import Stack, stack, wait_for
from z4j.store.sqlite import migrate

pytestmark = pytest.mark.timeout(500)
PORT = 7700
EARLIER_SCHEMA = 25
"""Of the last release that has landed before TLS, packages and backups."""
CELERY_APP = """
import os, pathlib
from celery import Celery
app = Celery("orders", broker=os.environ["BROKER_URL"])
app.conf.task_default_queue = "orders"
{line}

@app.task(name="orders.ship")
def ship(order):
    if not pathlib.Path(os.environ["MENDED"]).exists():
        raise ValueError("the warehouse is closed")
    return order
"""
HUEY_APP = """
import os
from huey import SqliteHuey
huey = SqliteHuey("mails", filename=os.environ["HUEY_FILE"])
{line}

@huey.task()
def send(order):
    return order
"""


@dataclass
class Site:
    """The appliance on one host, and this thread on the other."""

    hosts: Hosts
    made: Stack
    executable: Path
    folder: Path

    def z4j(self, *words: str, stdin: str = "") -> str:
        """Runs a command of the executable on the host of the server, with nothing in its environment."""
        command = self.hosts.at_server("env", "-i", f"HOME={self.folder}", f"Z4J_DATA={self.made.data}", str(self.executable), *words)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"z4j {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def serve(self) -> None:
        """Starts the server with what the README says."""
        words = ("serve", "--host", "0.0.0.0", "--tls", "auto", "--name", SERVER)
        command = self.hosts.at_server("env", "-i", f"HOME={self.folder}", f"Z4J_DATA={self.made.data}", str(self.executable), *words)
        self.made.start("server", command, is_fresh=True)
        wait_for((self.made.data / "server.json").exists, what="the server is started")

    def environment(self, site: Path) -> dict[str, str]:
        """What an application of this host has."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON", "Z4J", "VIRTUAL_ENV"))}
        return kept | {
            "PATH": f"{site}/bin:{os.environ['PATH']}", "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": str(self.folder),
            "BROKER_URL": f"redis://127.0.0.1:{self.made.broker_port}/0", "HUEY_FILE": str(self.folder / "huey.db"),
            "MENDED": str(self.folder / "mended"), "Z4J_SPOOL": str(self.folder / "spool-of-host"),
        }  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    executable = build()
    with two_hosts() as hosts, stack(tmp_path) as made:
        made.port, made.tls = PORT, ("Z4J_TLS=auto",)
        made.start_broker()
        yield Site(hosts, made, executable, tmp_path)


def connect(site: Site, person: Person, engine: str, key: str = "") -> tuple[dict[str, str], str]:
    """The lines for a further engine of the app. `key` is joined as the browser joins it."""
    form = {"app": "orders", "engine": engine, "framework": "none", "environment": "production"}
    page = person.post("/connect", form).text
    lines = blocks(page)
    if key:
        lines["2. Set the connection string"] = re.sub(r"(://z4a_[\w-]+)@", rf"\1.{key}@", lines["2. Set the connection string"])
    return lines, steps_path(page)


def shell(site: Site, folder: Path, *lines: str) -> None:
    done = subprocess.run(
        ["bash", "-euc", "\n".join(lines)], cwd=site.folder, env=site.environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_task_of_another_machine(site: Site) -> None:
    no_route = subprocess.run(["ip", "route", "get", "192.0.2.1"], capture_output=True, text=True, check=False)
    assert "unreachable" in no_route.stderr, "there is no way to anywhere else"
    make_earlier_database(site.made.data)
    site.serve()
    assert [path.stat().st_mode & 0o777 for path in site.made.data.glob("z4j.db.before-*")] == [0o600], "a copy is made before migrating"
    site.z4j("user", "add", "ada", "--role", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    person = Person.sign_in_as(site.made, f"https://{SERVER}:{PORT}")

    sites = {engine: make_site(site.folder / engine) for engine in ("celery", "huey")}
    lines, steps = {}, {}
    lines["celery"], _ = connect(site, person, "celery")
    first = re.search(r"://(z4a_[\w-]+)\.([\w-]+)@", lines["celery"]["2. Set the connection string"])
    assert first is not None
    for engine in ("celery", "huey"):  # with a second token of the app, and a third
        lines[engine], steps[engine] = connect(site, person, engine, first[2])
        assert f"@{SERVER}:{PORT}?pin=" in lines[engine]["2. Set the connection string"]
        shell(site, sites[engine], lines[engine]["1. Install from this appliance"])
        add_engine(sites[engine], engine)
    (site.folder / "orders.py").write_text(CELERY_APP.format(line=lines["celery"]["3. Add to your code"]))
    (site.folder / "mails.py").write_text(HUEY_APP.format(line=lines["huey"]["3. Add to your code"]))

    commands = {"celery": "python -m celery -A orders worker -c 1 --loglevel INFO", "huey": "python engine/bin/huey_consumer.py mails.huey"}
    commands["huey"] = "python -m huey.bin.huey_consumer mails.huey"
    for engine, command in commands.items():
        words = ["bash", "-euc", f"cd {site.folder}\n{lines[engine]['2. Set the connection string']}\nexec {command}"]
        site.made.start(engine, words, site.environment(sites[engine]), is_fresh=True)
    for engine in commands:
        wait_for(
            lambda engine=engine: step_states(person.get(steps[engine]).text)["tasks registered"] == "done",  # type: ignore[misc]
            seconds=60, what=f"{engine} is connected by its pin, see {site.folder}/{engine}.log",
        )  # fmt: skip
    shell(site, sites["celery"], lines["celery"]["2. Set the connection string"], "python -c 'import orders; orders.ship.delay(7)'")
    shell(site, sites["huey"], lines["huey"]["2. Set the connection string"], "python -c 'import mails; mails.send(8)'")
    wait_for(lambda: {row[0] for row in site.made.rows("SELECT state FROM task")} == {11, 12}, seconds=30, what="one failed, one succeeded")

    (site.folder / "mended").touch()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_context(ignore_https_errors=True, base_url=f"https://{SERVER}:{PORT}").new_page()
        retry_by_click(page)
        browser.close()
    wait_for(lambda: site.made.rows("SELECT count(*) FROM task WHERE state = 12") == [(2,)], seconds=30, what="the retry succeeded")
    for engine in commands:
        number = re.search(r"/connect/(\d+)", steps[engine])
        assert number is not None
        person.post(f"/connect/{number[1]}/try", {"engine": engine, "environment": "production"})
        wait_for(
            lambda engine=engine: set(step_states(person.get(steps[engine]).text).values()) == {"done"},  # type: ignore[misc]
            seconds=30, what=f"every step of {engine} is green",
        )  # fmt: skip

    refuse_a_wrong_pin(site, sites["celery"], lines["celery"]["2. Set the connection string"])
    backup = site.folder / "copy.db"
    assert "complete copy" in site.z4j("backup", str(backup))
    assert "intact" in site.z4j("audit", "verify")
    said = site.z4j("doctor")
    assert "The server responds at https://127.0.0.1:7700" in said
    assert "bad" not in {line.split(" ")[0] for line in said.splitlines()}
    assert connected_workers(site) == 2
    go_back_and_forth(site, backup)


def connected_workers(site: Site) -> int:
    return int(site.made.rows("SELECT count(*) FROM agent WHERE left_at IS NULL AND role = 'worker'")[0][0])


def make_earlier_database(data: Path) -> None:
    """The database of a release before, with an app."""
    data.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(data / "z4j.db")) as db:
        for number, text in migrate.migrations():
            if number <= EARLIER_SCHEMA:
                db.executescript(f"{text}\nPRAGMA user_version = {number};")
        db.execute("INSERT INTO app (name, created_at) VALUES ('kept', 0)")
        db.commit()


def go_back_and_forth(site: Site, backup: Path) -> None:
    """The upgrade is undone, and then what was backed up is restored: tasks and agents of before are there again."""
    site.made.children[1].end()
    (site.made.data / "server.json").unlink(missing_ok=True)
    assert f"has schema {EARLIER_SCHEMA} again" in site.z4j("rollback", "--yes")
    assert site.made.rows("SELECT name FROM app") == [("kept",)]
    site.z4j("restore", str(backup), "--yes")
    assert site.made.rows("SELECT count(*) FROM task WHERE state = 12") == [(2,)]
    site.serve()
    wait_for(lambda: connected_workers(site) == 2, seconds=60, what="both workers are connected again")
    said = site.z4j("audit", "verify")
    assert "intact" in said
    assert "restored" in said


def retry_by_click(page: Page) -> None:
    """Signs in and retries the failed task."""
    page.goto("/login?next=/tasks?state=failed")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto("/tasks?state=failed")
    page.locator("tbody .through").first.click()
    page.get_by_role("button", name="Retry").first.click()
    expect(page.locator(".notice")).to_contain_text("Retry requested")


def refuse_a_wrong_pin(site: Site, environment: Path, string: str) -> None:
    before = (site.folder / "server.log").read_text()
    wrong = re.sub(r"pin=[\w-]+", f"pin={'A' * 43}", string)
    command = f"{wrong}\npython -m z4j_agent doctor || true"
    done = subprocess.run(
        ["bash", "-euc", command], cwd=site.folder, env=site.environment(environment), capture_output=True, text=True, check=True
    )
    assert "The token was not sent" in html.unescape(done.stdout)
    since = (site.folder / "server.log").read_text().removeprefix(before)
    assert "path=/agent" not in since
    assert "agent" not in since
