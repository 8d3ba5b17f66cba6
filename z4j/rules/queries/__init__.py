# SPDX-License-Identifier: AGPL-3.0-or-later
"""The query language of the task list: its fields, its parser, and the text of a query."""
