# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alert rules, channels, alerts with their findings, and messages."""
