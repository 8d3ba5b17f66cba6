# SPDX-License-Identifier: Apache-2.0
"""Brokers of taskiq: their identities, and connections to them from the thread of the agent."""
