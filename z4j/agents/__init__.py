# SPDX-License-Identifier: AGPL-3.0-or-later
"""Traffic with agents: commands that leave (`outbox`), and whose answers come back (`answers`)."""
