# SPDX-License-Identifier: Apache-2.0
"""Reports RQ tasks to z4j."""
