# SPDX-License-Identifier: Apache-2.0
"""The doctor: checks the connection to the server and the environment."""
