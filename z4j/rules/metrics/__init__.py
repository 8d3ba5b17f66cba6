# SPDX-License-Identifier: AGPL-3.0-or-later
"""What /metrics reports, and how it is bounded."""
