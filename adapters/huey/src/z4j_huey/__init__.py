# SPDX-License-Identifier: Apache-2.0
"""Reports Huey tasks to z4j."""
