# SPDX-License-Identifier: Apache-2.0
"""The doctor: whether this application would reach its server, and what is wrong in its environment."""
