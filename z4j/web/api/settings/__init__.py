# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API of settings."""
