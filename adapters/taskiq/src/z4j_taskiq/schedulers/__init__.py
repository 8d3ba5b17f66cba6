# SPDX-License-Identifier: Apache-2.0
"""taskiq's schedule sources, its scheduler loop and overrides."""
