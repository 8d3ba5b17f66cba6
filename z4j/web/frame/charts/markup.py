# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parts of charts that repeat for each slot, cell, bar and row, as HTML. A page has a thousand of them, and a loop of a template takes
three times as long. Everything that is not a number is escaped here, as a template does."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from z4j.web.frame.charts.histogram_views import HeatView, HistogramView
from z4j.web.frame.charts.texts import Table
from z4j.web.frame.charts.time_views import Segment, Slot, TimeView
from z4j.web.frame.templating.escaping import all_escaped, escaped


def slots(view: TimeView) -> Markup:
    """Returns the slots of a chart over time: each a link with its text and its bars, and bars with links of their own after it."""
    texts, hrefs = all_escaped([slot.text for slot in view.slots]), all_escaped([slot.href for slot in view.slots])
    made = []
    for slot, text, href, shown in zip(view.slots, texts, hrefs, view.segments, strict=True):
        inside, after = _bars(slot, shown) if shown else ("", "")
        made.append(_linked(href, f'<title>{text}</title><path class="hit" d="{slot.shape}"/>{inside}'))
        made.append(after)
    return _html(made)


def _bars(slot: Slot, shown: Iterable[Segment]) -> tuple[str, str]:
    """Bars within the link of their slot, and those with links of their own."""
    inside = after = ""
    for bar in shown:
        path = f'<path class="{escaped(bar.tone)}" d="M{slot.x} {bar.y}h{slot.width}v{bar.height}h-{slot.width}z"/>'
        if bar.href:
            after += f'<a href="{escaped(bar.href)}"><title>{escaped(bar.text)}</title>{path}</a>'
        else:
            inside += path
    return inside, after


def histogram_bars(view: HistogramView, height: int, tone: str) -> Markup:
    """Returns the bars of a histogram that is `height` pixels high, each a link with its text."""
    made, texts, hrefs = [], all_escaped([bar.text for bar in view.bars]), all_escaped([bar.href for bar in view.bars])
    for bar, text, href in zip(view.bars, texts, hrefs, strict=True):
        inside = f'<title>{text}</title><path class="hit" d="M{bar.x} 0h{bar.width}v{height}h-{bar.width}z"/>'
        if bar.height:
            inside += f'<path class="{escaped(tone)}" d="M{bar.x} {bar.y}h{bar.width}v{bar.height}h-{bar.width}z"/>'
        made.append(_linked(href, inside))
    return _html(made)


def heat_cells(view: HeatView) -> Markup:
    """Returns the cells of a heat map, each a link with its text."""
    texts, hrefs = all_escaped([cell.text for cell in view.cells]), all_escaped([cell.href for cell in view.cells])
    return _html(
        _linked(href, f'<title>{text}</title><path class="h{shade}" d="{shape}"/>')
        for (shape, shade, _, _), text, href in zip(view.cells, texts, hrefs, strict=True)
    )


def rows(table: Table) -> Markup:
    """Returns the rows of the table of a chart, which are as long as its head; the first cell of each is its heading."""
    made, width = [], len(table.heads)
    cells = all_escaped([cell for row in table.rows for cell in row])
    for start in range(0, len(cells), width):
        head, *others = cells[start : start + width]
        made.append(f'<tr><th scope="row">{head}</th>{"".join([f"<td>{cell}</td>" for cell in others])}</tr>')
    return _html(made)


def _linked(href: str, inside: str) -> str:
    """`href` is escaped."""
    return f'<a href="{href}">{inside}</a>' if href else f"<g>{inside}</g>"


def _html(parts: Iterable[str]) -> Markup:
    return Markup("".join(parts))  # noqa: S704 - every text in them was escaped above
