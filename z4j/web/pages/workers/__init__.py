# SPDX-License-Identifier: AGPL-3.0-or-later
"""The worker list and one worker."""
