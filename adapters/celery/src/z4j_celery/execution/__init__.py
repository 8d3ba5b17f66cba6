# SPDX-License-Identifier: Apache-2.0
"""One execution of a task: its attempts and how it ends."""
