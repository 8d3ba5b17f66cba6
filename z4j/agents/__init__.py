# SPDX-License-Identifier: AGPL-3.0-or-later
"""Traffic with agents: commands leave through `outbox`, and results come back through `command_results`."""
