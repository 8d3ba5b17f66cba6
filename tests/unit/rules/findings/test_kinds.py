# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every kind that a rule gives has its words, and no kind has words that no rule gives."""

from __future__ import annotations

import re
from pathlib import Path

from z4j.rules import findings
from z4j.rules.findings.kinds import KINDS


def test_every_kind_has_its_words() -> None:
    folder = Path(str(findings.__file__)).parent
    text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    given = {kind for found in re.findall(r'kind="(\w+)"(?: if \w+ else "(\w+)")?', text) for kind in found if kind}
    for suffix in re.findall(r'kind=f"\{[\w.]+\}(\w+)"', text):
        given |= {f"{state}{suffix}" for state in ("missed", "failed", "late")}
    assert given == set(KINDS)
    assert [kind for kind, words in KINDS.items() if not words] == []
    assert len(set(KINDS.values())) == len(KINDS), "lists and forms show the words alone"
