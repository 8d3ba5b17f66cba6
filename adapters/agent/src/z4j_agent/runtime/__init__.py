# SPDX-License-Identifier: Apache-2.0
"""Threads, patches, time zones and the agent's own log."""
