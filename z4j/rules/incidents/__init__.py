# SPDX-License-Identifier: AGPL-3.0-or-later
"""The record of an incident: events in order of time, as JSON and as Markdown."""
