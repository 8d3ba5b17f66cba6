# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every page shares: rendering, formats, forms, exports, middleware."""
