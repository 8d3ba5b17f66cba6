# SPDX-License-Identifier: AGPL-3.0-or-later
"""Connect an app as a person does: the lines of the page in a shell, in an environment that has nothing of z4j, until all is green."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import bundled_wheels
from tests.support.browserless import Person
from tests.support.connect_lines import add_engine, blocks, make_site, step_states, steps_path
from tests.support.stack import Stack, stack, wait_for

pytestmark = pytest.mark.timeout(300)
APPLICATION = """
import os
from celery import Celery
app = Celery("orders", broker=os.environ["BROKER_URL"])
app.conf.task_default_queue = "orders"
{line}

@app.task(name="orders.ship")
def ship(order):
    return order
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stack]:
    bundled_wheels.bundle()
    with stack(tmp_path) as made:
        made.tls = ("Z4J_TLS=auto",)
        made.start_broker()
        made.command("migrate")
        made.start_server()
        yield made


def test_three_lines_connect_an_application(shop: Stack, tmp_path: Path) -> None:
    person = Person.sign_in(shop)
    page = person.post("/connect", {"app": "orders", "engine": "celery", "framework": "none", "environment": "production"}).text
    lines = blocks(page)
    site = make_site(tmp_path / "site")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV"))}
    clean |= {
        "PATH": f"{site}/bin:{os.environ['PATH']}",
        "BROKER_URL": f"redis://127.0.0.1:{shop.broker_port}/0",
        "PIP_CONFIG_FILE": os.devnull,
    }

    installed = subprocess.run(
        ["bash", "-euc", lines["1. Install from this appliance"]], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert (tmp_path / "z4j.netrc").stat().st_mode & 0o777 == 0o600
    (tmp_path / "orders.py").write_text(APPLICATION.format(line=lines["3. Add to your code"]))
    where = steps_path(page)
    assert set(step_states(person.get(where).text).values()) == {"waiting"}

    add_engine(site, "celery")
    run = f"{lines['2. Set the connection string']}\nexport Z4J_SPOOL={tmp_path}/spool-of-orders\n"
    worker = f"{run}exec python -m celery -A orders worker -c 1 --loglevel INFO"
    made = shop.start("orders", ["bash", "-euc", worker], {**clean, "PYTHONPATH": str(tmp_path), "Z4J_URL": ""}, is_fresh=True)
    wait_for(lambda: b" ready." in made.log.read_bytes(), seconds=40, what=f"the worker is ready, see {made.log}")
    wait_for(lambda: step_states(person.get(where).text)["tasks registered"] == "done", what="the agent and its tasks")
    assert step_states(person.get(where).text)["agent connected"] == "done"
    assert step_states(person.get(where).text)["retry possible"] == "done"

    sent = f"{run}python -c 'import orders; orders.ship.delay(7)'"
    subprocess.run(["bash", "-euc", sent], cwd=tmp_path, env=clean | {"PYTHONPATH": str(tmp_path)}, check=True)
    wait_for(lambda: step_states(person.get(where).text)["first task reported"] == "done", what="the first task")
    number = re.search(r"/connect/(\d+)", where)
    assert number is not None
    person.post(f"/connect/{number[1]}/try", {"engine": "celery", "environment": "production"})
    wait_for(lambda: set(step_states(person.get(where).text).values()) == {"done"}, what="every step is green")
    assert "z4a_" not in person.get(where).text
