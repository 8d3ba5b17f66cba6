# SPDX-License-Identifier: AGPL-3.0-or-later
"""Work that the server does without a request. Each duty runs in its own loop and fails alone."""
