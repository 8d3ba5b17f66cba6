# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages, one folder or module per section of the rail."""
