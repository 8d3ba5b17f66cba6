# SPDX-License-Identifier: Apache-2.0
"""arq's cron jobs and their overrides."""
