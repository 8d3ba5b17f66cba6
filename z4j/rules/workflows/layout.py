# SPDX-License-Identifier: AGPL-3.0-or-later
"""Places the boxes of a workflow on a grid, from top to bottom: every source is above its targets. Pure; positions are pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from z4j.rules.workflows.collapsed_siblings import BoxLink, FoldedWorkflow

COLUMNS: Final = 4
WIDTH: Final = 188
HEIGHT: Final = 44
SPACE: Final = 18
"""Between two columns; links that pass a row run in it."""
DROP: Final = 30
"""Between two rows."""
MARGIN: Final = 14
_TRACK: Final = 5
"""Pixels between the horizontal lines of sources in different columns."""


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """The upper left corner of a box, and its place on the grid."""

    x: int
    y: int
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class PlacedLink:
    """The data of an SVG path from the bottom of the source to the top of the target."""

    link: BoxLink
    path: str


@dataclass(frozen=True, slots=True)
class Layout:
    """`boxes` in the order of the workflow's boxes."""

    width: int
    height: int
    boxes: tuple[PlacedBox, ...]
    links: tuple[PlacedLink, ...]


def lay_out(folded: FoldedWorkflow) -> Layout:
    """Returns the drawing; the same workflow has the same drawing. A layer with more than COLUMNS boxes takes several rows."""
    sources: dict[int, list[int]] = defaultdict(list)
    for link in folded.links:
        sources[link.target].append(link.source)
    depth: list[int] = []
    for index in range(len(folded.boxes)):
        depth.append(max((depth[source] + 1 for source in sources[index]), default=0))
    places: dict[int, PlacedBox] = {}
    row = 0
    for layer in range(max(depth, default=-1) + 1):
        wanted = [(_mean([places[source].column for source in sources[index]]), index) for index, at in enumerate(depth) if at == layer]
        wanted.sort()
        for start in range(0, len(wanted), COLUMNS):
            part = wanted[start : start + COLUMNS]
            for (_, index), column in zip(part, _columns([column for column, _ in part]), strict=True):
                places[index] = PlacedBox(MARGIN + column * (WIDTH + SPACE), MARGIN + row * (HEIGHT + DROP), row, column)
            row += 1
    boxes = tuple(places[index] for index in range(len(folded.boxes)))
    used = max((box.column + 1 for box in boxes), default=0)
    return Layout(
        width=2 * MARGIN + used * WIDTH + max(used - 1, 0) * SPACE,
        height=2 * MARGIN + row * HEIGHT + max(row - 1, 0) * DROP,
        boxes=boxes,
        links=tuple(PlacedLink(link, _path(boxes[link.source], boxes[link.target])) for link in folded.links),
    )


def _mean(columns: Sequence[int]) -> float:
    return sum(columns) / len(columns) if columns else 0.0


def _columns(wanted: Sequence[float]) -> tuple[int, ...]:
    """The columns nearest to the wanted ones, in their order."""
    return min(
        combinations(range(COLUMNS), len(wanted)),
        key=lambda columns: (sum(abs(column - target) for column, target in zip(columns, wanted, strict=True)), columns),
    )


def _path(source: PlacedBox, target: PlacedBox) -> str:
    """Down, across, down. Where rows lie between them it passes those in the space left of the target's column."""
    start, end = source.x + WIDTH // 2, target.x + WIDTH // 2
    bottom, top = source.y + HEIGHT, target.y
    first = bottom + 7 + source.column * _TRACK
    if target.row == source.row + 1:
        return f"M{start} {bottom}V{top}" if start == end else f"M{start} {bottom}V{first}H{end}V{top}"
    channel = target.x - SPACE // 2 + (source.row % 3 - 1) * 4
    return f"M{start} {bottom}V{first}H{channel}V{top - DROP + 7 + source.column * _TRACK}H{end}V{top}"
