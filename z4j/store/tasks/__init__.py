# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks, their attempts and originals, and what is counted of them."""
