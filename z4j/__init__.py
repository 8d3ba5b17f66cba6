# SPDX-License-Identifier: AGPL-3.0-or-later
"""z4j: one control plane for Python task queues."""

__version__ = "0.1.0"
