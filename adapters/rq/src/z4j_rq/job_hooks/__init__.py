# SPDX-License-Identifier: Apache-2.0
"""Hooks into RQ's classes."""
