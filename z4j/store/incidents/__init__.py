# SPDX-License-Identifier: AGPL-3.0-or-later
"""Incidents, their notes and events."""
