# SPDX-License-Identifier: AGPL-3.0-or-later
"""The socket of the server: the port it is bound to, and how many connections it takes."""
