# SPDX-License-Identifier: Apache-2.0
"""Engines that are found automatically: the project's Celery apps. Other engines are installed with a line of their own."""

from __future__ import annotations

import sys
from typing import Any

from django.utils.module_loading import import_string

from z4j_agent.capture.guard import guard

FALLBACK = "default"
"""Name of the app that Celery creates if the current app is read and none exists."""
celery_app = ""
"""`module:name` or `module.name` of the Celery app, if it is set."""


@guard("finding the Celery app")
def install_celery() -> None:
    """Monitors the app in the settings and all existing ones; a later call adds apps that were created since."""
    if not celery_app and "celery" not in sys.modules:
        return
    try:
        import z4j_celery
    except ImportError:  # its adapter is not installed: nothing to monitor
        return
    for app in _apps():
        z4j_celery.install(app)


def _apps() -> list[Any]:
    # Celery has no public list of its apps, and `celery.current_app` would create one if none exists.
    from celery import _state

    named = [import_string(celery_app.replace(":", "."))] if celery_app else []
    return named + [app for app in _state._get_active_apps() if app.main != FALLBACK and app not in named]
