# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attempts report about themselves, and the templates of links that are made of it."""
