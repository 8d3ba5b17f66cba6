# SPDX-License-Identifier: AGPL-3.0-or-later
"""SQLite: connections, the writer, migrations, and the SQL of every module of the store."""
