# SPDX-License-Identifier: Apache-2.0
"""The synchronous client. `_sync` is generated from this folder, see generate.py."""
