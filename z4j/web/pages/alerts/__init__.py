# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alerts, rules, channels, maintenance, and the log of messages."""
