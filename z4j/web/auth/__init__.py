# SPDX-License-Identifier: AGPL-3.0-or-later
"""Authentication: sessions, passwords, two-factor authentication, accounts."""
