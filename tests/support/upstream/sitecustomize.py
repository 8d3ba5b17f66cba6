# SPDX-License-Identifier: AGPL-3.0-or-later
"""Python imports this in every process that has this folder in its path: those that an engine's own tests start are watched as well."""

import os

if os.environ.get("UPSTREAM_PROCESSES"):
    import upstream_process

    upstream_process.begin()
