# SPDX-License-Identifier: AGPL-3.0-or-later
"""Measurements against the budgets. `make bench` runs them all and writes bench/results.json and docs/benchmarks.md."""
