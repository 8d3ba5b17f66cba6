# SPDX-License-Identifier: Apache-2.0
"""The brokers of a process, and how a queue of RabbitMQ is held."""
