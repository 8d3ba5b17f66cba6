# SPDX-License-Identifier: AGPL-3.0-or-later
"""A server with an app, a worker and some tasks: that of the tests of pages."""

from tests.unit.web.pages.conftest import empty, shop

__all__ = ["empty", "shop"]
