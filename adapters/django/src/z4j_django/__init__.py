# SPDX-License-Identifier: Apache-2.0
"""Starts the z4j agent from Django's own hooks."""
