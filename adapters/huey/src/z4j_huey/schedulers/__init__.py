# SPDX-License-Identifier: Apache-2.0
"""Huey's own scheduler and its overrides."""
