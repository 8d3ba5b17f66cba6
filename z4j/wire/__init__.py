# SPDX-License-Identifier: AGPL-3.0-or-later
"""What agents send, checked before anything uses it. Pure."""
