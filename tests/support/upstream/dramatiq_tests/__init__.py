# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stands beside Dramatiq's own tests, whose source distribution has the tests and none of their fixtures."""
