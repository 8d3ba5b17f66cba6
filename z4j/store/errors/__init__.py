# SPDX-License-Identifier: AGPL-3.0-or-later
"""Groups of failures: kept in the transaction that changes a task, read by pages, changed by people."""
