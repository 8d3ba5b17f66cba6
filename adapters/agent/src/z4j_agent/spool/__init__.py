# SPDX-License-Identifier: Apache-2.0
"""The spool: written by every process of the application, sent by one of them."""
