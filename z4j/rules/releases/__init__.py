# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compares the tasks of a release with those before it, with statistical tests."""
