# SPDX-License-Identifier: Apache-2.0
"""Contracts about brokers: two at a time, and what is paused in each."""
