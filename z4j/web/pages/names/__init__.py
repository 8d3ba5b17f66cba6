# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of task names and one task name."""
