# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of programs under /api/v1: the same questions and the same actions as the pages, as JSON, described by its own document."""
