# SPDX-License-Identifier: AGPL-3.0-or-later
"""Commands about this installation: run it, inspect it, its key, its packages, its copies."""
