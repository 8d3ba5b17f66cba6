# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the runs of a release and those before it."""
