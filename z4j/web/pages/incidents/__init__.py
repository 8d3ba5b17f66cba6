# SPDX-License-Identifier: AGPL-3.0-or-later
"""Incidents: the list, one with its events, its record as a file, and a link to it."""
