# SPDX-License-Identifier: Apache-2.0
"""Reports taskiq tasks to z4j."""
