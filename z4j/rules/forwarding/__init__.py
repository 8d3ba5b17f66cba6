# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is forwarded to other tools, and in which form."""
