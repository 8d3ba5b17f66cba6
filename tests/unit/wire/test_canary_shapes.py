# SPDX-License-Identifier: AGPL-3.0-or-later
"""The secrets of the canary tests with many random marks: one run of those tests draws one, and a rule may miss one in fifty."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.support.canary import shapes
from tests.support.canary.search import Search
from z4j_agent.wire.redaction import redact, redact_arguments, redact_text

DRAWN = 400


def shown(marks: shapes.Marks) -> Iterator[tuple[str, str]]:
    """(shape, what is shown of it)."""
    args, kwargs = shapes.arguments(marks, "door", (300,))
    masked, _ = redact_arguments(args, ["user", "password", "link"])
    yield from zip(("user", "password by its place", "link by its place"), map(json.dumps, masked), strict=True)
    for shape, value in kwargs["bundle"].items():
        yield shape, json.dumps(redact({shape: value})[0])
        yield f"{shape}, as text", redact_text(json.dumps({shape: value}))
    yield "reason", redact_text(shapes.reason(marks, "door"))


def test_no_draw_is_shown() -> None:
    for _ in range(DRAWN):
        marks = shapes.Marks()
        search = Search(marks.secret)
        for shape, text in shown(marks):
            assert next(search.hits(text.encode()), None) is None, (shape, text)
