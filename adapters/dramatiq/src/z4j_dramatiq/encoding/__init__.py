# SPDX-License-Identifier: Apache-2.0
"""Encoding of messages: the marks behind their bytes, and messages that cannot be decoded."""
