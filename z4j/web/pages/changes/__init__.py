# SPDX-License-Identifier: AGPL-3.0-or-later
"""Changes: the commands sent to agents, and the audit log of every action."""
