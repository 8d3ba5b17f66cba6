# SPDX-License-Identifier: AGPL-3.0-or-later
"""Documents by sections, anchors as GitHub makes them, and what a search finds."""

from __future__ import annotations

from z4j.rules.documents import anchor_of, plain, search, sections_of, source_of

TEXT = """<!-- a licence -->
# Title

Lead with `code` and a [link](other.md#x).

## What *is* it?

```
# no heading
```

## What *is* it?

The queue is empty.
"""


def test_sections_have_anchors_and_no_marks() -> None:
    found = sections_of("doc", TEXT)
    assert [(section.title, section.anchor) for section in found] == [
        ("Title", "title"),
        ("What is it?", "what-is-it"),
        ("What is it?", "what-is-it-1"),
    ]
    assert found[0].text == "Lead with code and a link."
    assert found[1].text == "no heading"
    assert source_of(TEXT).startswith("# Title")
    assert plain("| a | **b** |") == "a b"


def test_anchors_are_those_of_github() -> None:
    taken: set[str] = set()
    assert [anchor_of(title, taken) for title in ("TLS: of its own", "`z4j mcp`", "A [b](c) d", "TLS: of its own")] == [
        "tls-of-its-own", "z4j-mcp", "a-b-d", "tls-of-its-own-1",
    ]  # fmt: skip


def test_a_search_needs_every_word_and_ranks_titles_first() -> None:
    sections = sections_of("doc", TEXT) + sections_of("queue", "# Queue\n\n" + "other " * 80 + "nothing")
    assert [hit.section.title for hit in search("queue", sections)] == ["Queue", "What is it?"]
    assert [hit.section.anchor for hit in search("queue EMPTY", sections)] == ["what-is-it-1"]
    assert search("queue zebra", sections) == search("", sections) == []
    [hit] = search("nothing", sections)
    assert hit.excerpt.startswith("…")
    assert hit.excerpt.endswith("nothing")
