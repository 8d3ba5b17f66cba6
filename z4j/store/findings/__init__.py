# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the rules of findings look at, and when each finding began and ended."""
