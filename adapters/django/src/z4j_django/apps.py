# SPDX-License-Identifier: Apache-2.0
"""Django's app hook. It runs in every process that sets Django up, also without requests, so it opens no connection."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

import z4j_agent
from z4j_agent.capture import web
from z4j_agent.capture.guard import guard
from z4j_django import engines, requests

CELERY_APP = "CELERY_APP"


class Z4JConfig(AppConfig):
    """`ready` never raises and opens no connection."""

    name = "z4j_django"
    verbose_name = "z4j"

    def ready(self) -> None:
        """Starts monitoring when Django has loaded all applications."""
        start()


@guard("Django's start")
def start() -> None:
    """Reads the settings, monitors the project's Celery apps and waits for the first request."""
    values = dict(getattr(settings, "Z4J", {}))
    engines.celery_app = str(values.pop(CELERY_APP, ""))
    web.configure(values)
    if z4j_agent.start() is None:
        return
    engines.install_celery()
    requests.listen()
