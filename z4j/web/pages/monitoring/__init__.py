# SPDX-License-Identifier: AGPL-3.0-or-later
"""What other programs read to know how this server is."""
