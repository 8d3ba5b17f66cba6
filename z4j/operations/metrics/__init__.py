# SPDX-License-Identifier: AGPL-3.0-or-later
"""Collects what /metrics reports, and writes it in the formats of Prometheus."""
