# SPDX-License-Identifier: AGPL-3.0-or-later
"""Boxes do not overlap, sources are above their targets, and lines that pass a row do not cross its boxes."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings

from tests.unit.rules.workflows.conftest import link, task, workflows
from z4j.rules.workflows.collapsed_siblings import fold_workflow
from z4j.rules.workflows.layout import COLUMNS, HEIGHT, WIDTH, Layout, PlacedBox, lay_out
from z4j.rules.workflows.workflow_graph import Workflow, make_workflow


def draw(workflow: Workflow) -> Layout:
    return lay_out(fold_workflow(workflow, 0))


def segments(path: str) -> list[tuple[float, float, float, float]]:
    x, y = 0.0, 0.0
    found = []
    for letter, first, _, second in re.findall(r"([MHV])(-?[\d.]+)( (-?[\d.]+))?", path):
        old = (x, y)
        if letter == "M":
            x, y = float(first), float(second)
            continue
        x, y = (float(first), y) if letter == "H" else (x, float(first))
        found.append((*old, x, y))
    return found


@given(workflows())
@settings(deadline=None)
def test_boxes_do_not_overlap_and_lie_within_the_drawing(workflow: Workflow) -> None:
    drawing = draw(workflow)
    places = [(box.row, box.column) for box in drawing.boxes]
    assert len(places) == len(set(places))
    rows: dict[int, set[int]] = {}
    for box in drawing.boxes:
        assert 0 <= box.x <= drawing.width - WIDTH
        assert 0 <= box.y <= drawing.height - HEIGHT
        assert box.column < COLUMNS
        rows.setdefault(box.row, set()).add(box.y)
    heights = [min(ys) for _, ys in sorted(rows.items())]
    assert all(len(ys) == 1 for ys in rows.values())
    assert all(below - above >= HEIGHT for above, below in pairwise(heights))


@given(workflows())
@settings(deadline=None)
def test_sources_are_above_their_targets(workflow: Workflow) -> None:
    drawing = draw(workflow)
    for placed in drawing.links:
        source, target = drawing.boxes[placed.link.source], drawing.boxes[placed.link.target]
        assert source.y + HEIGHT < target.y
        parts = segments(placed.path)
        assert parts[0][:2] == (source.x + WIDTH / 2, source.y + HEIGHT)
        assert parts[-1][2:] == (target.x + WIDTH / 2, target.y)


@given(workflows())
@settings(deadline=None)
def test_no_line_crosses_a_box(workflow: Workflow) -> None:
    drawing = draw(workflow)
    for placed in drawing.links:
        for x1, y1, x2, y2 in segments(placed.path):
            left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
            assert 0 <= left <= right <= drawing.width
            for box in drawing.boxes:
                assert not (left < box.x + WIDTH and right > box.x and top < box.y + HEIGHT and bottom > box.y)


@given(workflows())
@settings(deadline=None)
def test_the_drawing_is_always_the_same(workflow: Workflow) -> None:
    assert draw(workflow) == draw(Workflow(workflow.tasks, tuple(reversed(workflow.links))))


def test_a_chain_goes_straight_down_and_children_stand_side_by_side() -> None:
    chain = draw(make_workflow([task(1), task(2), task(3)], [link(1, 2), link(2, 3)]))
    assert [(box.row, box.column) for box in chain.boxes] == [(0, 0), (1, 0), (2, 0)]
    assert all("H" not in placed.path for placed in chain.links)
    group = draw(make_workflow([task(id) for id in range(7)], [link(0, id) for id in range(1, 7)]))
    assert [(box.row, box.column) for box in group.boxes] == [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]


def test_an_empty_drawing_has_its_margins_alone() -> None:
    assert draw(make_workflow([], [])) == Layout(28, 28, (), ())
    assert draw(make_workflow([task(1)], [])) == Layout(216, 72, (PlacedBox(14, 14, 0, 0),), ())


Boxes = list[tuple[int, int, int, int]]
Paths = list[tuple[int, int, str]]


@pytest.mark.parametrize(
    ("count", "links", "size", "boxes", "paths"),
    [
        (  # six children take two rows, and one target waits for three of the rows above
            8, [*((0, id) for id in range(1, 7)), (1, 7), (4, 7), (0, 7)], (834, 294),
            [(14, 14, 0, 0), (14, 88, 1, 0), (220, 88, 1, 1), (426, 88, 1, 2), (632, 88, 1, 3), (14, 162, 2, 0), (220, 162, 2, 1),
             (220, 236, 3, 1)],
            [(0, 1, "M108 58V88"), (0, 2, "M108 58V65H314V88"), (0, 3, "M108 58V65H520V88"), (0, 4, "M108 58V65H726V88"),
             (0, 5, "M108 58V65H1V139H108V162"), (0, 6, "M108 58V65H207V139H314V162"), (0, 7, "M108 58V65H207V213H314V236"),
             (1, 7, "M108 132V139H211V213H314V236"), (4, 7, "M726 132V154H211V228H314V236")],
        ),
        (  # children are below their sources, whatever their order, and one of two sources between them
            8, [(3, 4), (0, 5), (0, 6), (2, 6), (3, 7)], (834, 146),
            [(14, 14, 0, 0), (220, 14, 0, 1), (426, 14, 0, 2), (632, 14, 0, 3), (426, 88, 1, 2), (14, 88, 1, 0), (220, 88, 1, 1),
             (632, 88, 1, 3)],
            [(0, 5, "M108 58V88"), (0, 6, "M108 58V65H314V88"), (2, 6, "M520 58V75H314V88"), (3, 4, "M726 58V80H520V88"),
             (3, 7, "M726 58V88")],
        ),
        (  # links that pass a row run beside each other
            6, [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4), (0, 5), (2, 4)], (422, 368),
            [(14, 14, 0, 0), (14, 88, 1, 0), (14, 162, 2, 0), (14, 236, 3, 0), (14, 310, 4, 0), (220, 88, 1, 1)],
            [(0, 1, "M108 58V88"), (0, 5, "M108 58V65H314V88"), (1, 2, "M108 132V162"), (1, 4, "M108 132V139H5V287H108V310"),
             (2, 3, "M108 206V236"), (2, 4, "M108 206V213H9V287H108V310"), (3, 4, "M108 280V310")],
        ),
    ],
)  # fmt: skip
def test_drawings_that_were_looked_at(count: int, links: list[tuple[int, int]], size: tuple[int, int], boxes: Boxes, paths: Paths) -> None:
    drawing = draw(make_workflow([task(id) for id in range(count)], [link(*pair) for pair in links]))
    assert (drawing.width, drawing.height) == size
    assert [(box.x, box.y, box.row, box.column) for box in drawing.boxes] == boxes
    assert [(placed.link.source, placed.link.target, placed.path) for placed in drawing.links] == paths
