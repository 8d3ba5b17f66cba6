# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j alerts …` against the API of a server in this process: only the socket is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.cli.conftest import Run
from tests.unit.operations.alerts.examples import EMAILS
from tests.unit.web.api.test_alerts import ask
from z4j import clock

COMMAND, ROLE = "alerts", "admin"


def test_rules_are_tried_and_added_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rule.json"
    file.write_text(json.dumps({"name": "everything"}))
    assert "Would have fired 0 times" in run("try", str(file))[1]
    assert run("add-rule", str(file)) == (0, "Rule 1 added.\n")
    assert "everything" in run("rules")[1]
    assert json.loads(run("rules", "--json")[1])["rules"][0]["rule"] == {"name": "everything"}
    file.write_text("[]")
    code, said = run("add-rule", str(file))
    assert code != 0
    assert "is not a rule" in said
    assert "could not be read" in run("try", str(tmp_path / "none.json"))[1]


def test_an_alert_is_listed_shown_and_acknowledged(run: Run, shop: Any) -> None:
    ask(shop, "POST", "/alert-rules", {"name": "everything"})
    shop.call(shop.server.alerts.round, [EMAILS], clock.now())
    assert "Emails fail" in run("list")[1]
    assert "12 of 14 failed" in run("show", "1")[1]
    assert "acknowledged by" in run("acknowledge", "1")[1]
    shop.call(shop.server.alerts.round, [], clock.now())
    assert "resolved" in run("list")[1]
    assert json.loads(run("show", "1", "--json")[1])["id"] == 1


def test_channels_are_listed_and_tested(run: Run, shop: Any) -> None:
    ask(shop, "POST", "/alert-channels", {"name": "hook", "kind": "webhook", "url": "https://hooks.example/x"})
    assert "https://hooks.example/…" in run("channels")[1]
    assert "queued" in run("test", "1")[1]
    assert run("test", "9")[0] != 0


def test_maintenance_lasts_as_long_as_it_is_told(run: Run) -> None:
    assert "Maintenance 1 began. Alerts are delayed until" in run("maintenance", "--for", "2h", "--app", "shop", "--reason", "upgrade")[1]
    assert run("end-maintenance", "1") == (0, "Maintenance ended.\n")
    assert run("maintenance", "--for", "soon")[0] != 0
