# SPDX-License-Identifier: Apache-2.0
"""Celery Beat and the stores of its entries."""
