# SPDX-License-Identifier: Apache-2.0
"""Redis and RabbitMQ as Celery uses them."""
