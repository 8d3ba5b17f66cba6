# SPDX-License-Identifier: AGPL-3.0-or-later
"""Commands and plans, with the values operators typed."""
