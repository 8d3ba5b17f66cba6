# SPDX-License-Identifier: Apache-2.0
"""rq-scheduler and RQ's own cron."""
