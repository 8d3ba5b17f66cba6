# SPDX-License-Identifier: AGPL-3.0-or-later
"""Geometry of charts: values in, positions out. Pure.

A page holds a `TimeChart`, `Histogram` or `HeatMap` of `model` and calls a macro of `templates/macros/charts.html` with it:
`charts.lines(chart)`, `charts.bars(chart)`, `charts.histogram(histogram)`, `charts.heat(map)`, `charts.spark(values, label, href)`.
"""
