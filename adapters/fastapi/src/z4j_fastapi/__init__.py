# SPDX-License-Identifier: Apache-2.0
"""Starts the z4j agent from FastAPI's own hooks."""
