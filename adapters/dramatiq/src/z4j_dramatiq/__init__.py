# SPDX-License-Identifier: Apache-2.0
"""Reports Dramatiq tasks to z4j."""
