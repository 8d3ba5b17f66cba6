# SPDX-License-Identifier: AGPL-3.0-or-later
"""Forwards rows of the audit log and events of alerts to other tools, at least once."""
