# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adds texts to the positions of charts (z4j/rules/charts), for the macros of templates/macros/charts.html."""
