# SPDX-License-Identifier: Apache-2.0
"""The engines that can be found without being told: the project's Celery apps. Every other engine has its own one line."""

from __future__ import annotations

import sys
from typing import Any

from django.utils.module_loading import import_string

from z4j_agent.capture.guard import guard

FALLBACK = "default"
"""Name of the app Celery makes when it is asked for the current one and there is none."""
celery_app = ""
"""`module:name` or `module.name` of the Celery app, where the settings tell it."""


@guard("finding the Celery app")
def install_celery() -> None:
    """Watches the app the settings name and those that exist by now; a later call finds what was made since."""
    if not celery_app and "celery" not in sys.modules:
        return
    try:
        import z4j_celery
    except ImportError:  # its adapter is not installed: nothing is to be watched
        return
    for app in _apps():
        z4j_celery.install(app)


def _apps() -> list[Any]:
    # Celery has no public list of its apps, and `celery.current_app` would make one where there is none.
    from celery import _state

    named = [import_string(celery_app.replace(":", "."))] if celery_app else []
    return named + [app for app in _state._get_active_apps() if app.main != FALLBACK and app not in named]
