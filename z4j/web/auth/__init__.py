# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signing in: sessions, passwords, the second step, accounts."""
