# SPDX-License-Identifier: AGPL-3.0-or-later
"""Task ids that the application uses again: detects them, and splits their events into executions. Pure."""
