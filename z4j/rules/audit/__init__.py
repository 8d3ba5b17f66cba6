# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the audit log contains and how it is verified. Pure."""
