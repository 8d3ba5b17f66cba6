# SPDX-License-Identifier: AGPL-3.0-or-later
"""Targets of forwarding with their cursors, the events of alerts, and the log of deliveries."""
