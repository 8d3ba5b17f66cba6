# SPDX-License-Identifier: AGPL-3.0-or-later
"""The queue list and one queue."""
