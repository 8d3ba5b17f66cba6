# SPDX-License-Identifier: Apache-2.0
"""Where the queues of a process are, and connections of our own to them."""
