# SPDX-License-Identifier: AGPL-3.0-or-later
"""Alerts: decisions are stored together with their messages, which are then delivered."""
