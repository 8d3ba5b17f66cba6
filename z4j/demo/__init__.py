# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j demo`: a server on a seeded folder of its own, and the processes of its applications. See `z4j_demo` for the applications."""
