# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each kind of finding in full, as pages and messages show it: `data/findings.json` was read line by line, and a change of it has to be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.unit.rules.findings.every import each
from z4j.rules.findings.finding import Finding

KNOWN = Path(__file__).parent / "data" / "findings.json"


def shown(finding: Finding) -> dict[str, Any]:
    """All fields but the empty ones, as JSON has them."""
    fields = {name: value for name, value in asdict(finding).items() if value not in (None, "", ())}
    decoded: dict[str, Any] = json.loads(json.dumps(fields))
    return decoded


def test_every_finding_in_full() -> None:
    assert [shown(finding) for finding in each()] == json.loads(KNOWN.read_text("utf-8"))
