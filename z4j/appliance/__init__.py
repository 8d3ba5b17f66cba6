# SPDX-License-Identifier: AGPL-3.0-or-later
"""One installation: its data folder, its address, and the packages that it serves."""
