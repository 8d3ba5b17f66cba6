# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks that belong together, as one drawing: chains, groups, pipelines, dependencies and retries. Pure."""
