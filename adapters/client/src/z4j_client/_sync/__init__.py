# SPDX-License-Identifier: Apache-2.0
"""The synchronous face. `_sync` is generated from this folder, see generate.py."""
