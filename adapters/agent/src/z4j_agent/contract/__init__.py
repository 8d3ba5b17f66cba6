# SPDX-License-Identifier: Apache-2.0
"""What an engine's adapter implements: its methods, its capabilities, its schedulers."""
