# SPDX-License-Identifier: Apache-2.0
"""Monitors a Django project. One line in its settings, and `Z4J_URL` in the environment:

    INSTALLED_APPS = [..., "z4j_django"]

Settings may also be in `Z4J = {"APP": "shop", ...}`: the names of the environment's variables without `Z4J_`; the environment wins.
"""
