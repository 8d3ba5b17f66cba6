# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a search for tasks means to the database: its conditions as parameters of SQL, and the index of words."""
