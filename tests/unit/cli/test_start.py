# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much a command loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SERVERS = ("z4j.app", "z4j.agents.gateway", "z4j.web.routes", "uvicorn", "starlette", "jinja2")


def test_a_command_does_not_load_the_server() -> None:
    """That took two thirds of the time of every command."""
    loads = "import sys, z4j.cli; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", loads, *SERVERS], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_a_server_loads_pages_and_other_commands_when_they_are_needed() -> None:
    """They are 11 of 71 MB, and a fifth of the time until the first answer."""
    loads = "import sys, z4j.cli; z4j.cli._parser('serve'); import z4j.cli.installation.serve, z4j.app; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True).stdout.split()
    own = [name for name in found if name.startswith(("z4j.web.pages.", "z4j.web.api", "z4j.web.frame.render", "z4j.cli."))]
    shared = {"z4j.web.pages.settings", "z4j.web.pages.settings.connection_strings", "z4j.web.pages.tasks", "z4j.web.pages.tasks.filters",
              "z4j.web.pages.tasks.sidebar_views", "z4j.cli.common", "z4j.cli.common.offline", "z4j.cli.common.output",
              "z4j.cli.installation", "z4j.cli.installation.backup", "z4j.cli.installation.serve"}  # fmt: skip
    assert set(own) == shared
    assert not {"jinja2", "croniter", "urllib.request", "cryptography"} & set(found)


def test_a_server_that_somebody_reads_does_not_load_another_openssl(tmp_path: Path) -> None:
    """`cryptography` contains one: 8 MB. It is needed for TLS, two-factor authentication and values that operators type, not for signing
    in, pages and the audit log."""
    runs = """
import sys
from pathlib import Path
from tests.support.site import site
from z4j.store.access.audit_checkpoints import newest_checkpoint

with site(Path(sys.argv[1])) as shop:
    shop.add_user("ada", "admin")
    shop.sign_in("ada")
    assert shop.client.get("/tasks").status_code == 200
    point = shop.call(newest_checkpoint, shop.server.store)
    print(point is not None, "jinja2" in sys.modules, "cryptography" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", runs, tmp_path], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == ["True", "True", "False"]


def test_collections_are_on_again_when_a_command_runs() -> None:
    runs = """
import gc, z4j.cli
from z4j import lazy_imports
import z4j.cli.installation.contents as contents

contents.version = lambda *_: print(gc.isenabled()) or 0
z4j.cli.main(["version"])
with lazy_imports.without_collections():
    print(gc.isenabled())
"""
    found = subprocess.run([sys.executable, "-c", runs], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False"]


def test_a_server_does_not_load_the_demo() -> None:
    """Neither its memory nor its start pays for `z4j demo`."""
    demo = ("z4j.demo", "z4j_demo", "huey", "apscheduler", "z4j_huey", "z4j_agent.agent", "websockets.asyncio.client")
    loads = "import sys, z4j.cli, z4j.app; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", loads, *demo], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
