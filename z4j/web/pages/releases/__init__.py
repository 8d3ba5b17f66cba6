# SPDX-License-Identifier: AGPL-3.0-or-later
"""Releases: their first sight, and the changes since then."""
