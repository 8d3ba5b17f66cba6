# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names that repeat: stored once, limited per app, deleted when unused."""
