# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is wrong now, and why the product thinks so: one pure rule in each file."""
