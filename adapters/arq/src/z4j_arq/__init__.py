# SPDX-License-Identifier: Apache-2.0
"""Reports arq tasks to z4j."""
