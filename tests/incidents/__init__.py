# SPDX-License-Identifier: AGPL-3.0-or-later
"""Incidents at the wire, each in a week of other traffic: what Now finds, how soon, and whether its link leads to where to act."""
