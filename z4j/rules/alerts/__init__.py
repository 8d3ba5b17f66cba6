# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decides when an alert fires, sends reminders and is resolved. Pure; delivery is in `operations/alerts/`."""
