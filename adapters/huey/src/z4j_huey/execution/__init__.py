# SPDX-License-Identifier: Apache-2.0
"""The consumer, its children and the attempts they execute."""
