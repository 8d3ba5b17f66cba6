# SPDX-License-Identifier: Apache-2.0
"""What the hooks of adapters call: times, names, redacted values, originals, the guard."""
