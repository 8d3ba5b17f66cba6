# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups of failures: the list, one group, and the actions on them."""
