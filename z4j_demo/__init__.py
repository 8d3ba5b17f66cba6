# SPDX-License-Identifier: AGPL-3.0-or-later
"""The applications of `z4j demo`: their past, two real engines, and recorded agents of five others.

Each part runs in a process of its own, which speaks to the server over the wire as any agent does. Nothing here imports `z4j`, and `z4j`
imports nothing from here: import-linter checks both.
"""
