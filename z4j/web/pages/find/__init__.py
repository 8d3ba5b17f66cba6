# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding pages, tasks, names and actions: the palette, and the same as a page."""
