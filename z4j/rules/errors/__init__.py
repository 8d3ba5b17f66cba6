# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups failures: which of them are one problem, and what state that problem is in. Pure."""
