# SPDX-License-Identifier: Apache-2.0
"""The brokers of a process, and pausing a queue of RabbitMQ."""
