# SPDX-License-Identifier: AGPL-3.0-or-later
"""Users, sessions, tokens and the audit log."""
