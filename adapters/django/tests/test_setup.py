# SPDX-License-Identifier: Apache-2.0
"""What the settings may say, and which Celery apps are found."""

from __future__ import annotations

import json
from typing import Any

ASK = """
import json, logging
import celery, django
from django.conf import settings
logging.basicConfig(format="%(message)s")
celery.Celery("made before")
settings.configure(ROOT_URLCONF="none", INSTALLED_APPS=["z4j_django"], Z4J={values!r})
django.setup()
import z4j_agent, django.core.signals as signals
celery.Celery("made after")
signals.request_started.send(sender=None)
signals.request_finished.send(sender=None)
agent = z4j_agent.current()
print(json.dumps({{
    "apps": sorted(one.app.main for adapter in agent.adapters for one in adapter.states) if agent else None,
    "app": agent.settings.app if agent else None,
    "middleware": list(settings.MIDDLEWARE),
}}))
"""


def ask(site: Any, values: Any) -> tuple[dict[str, Any], str]:
    done = site.run("-c", ASK.format(values=values))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), site.agent_log()


def test_every_celery_app_is_found_and_the_named_one_too(site: Any) -> None:
    answer, _ = ask(site, {"APP": "from settings"})
    assert answer["apps"] == ["made after", "made before"]
    assert answer["app"] == "from settings"
    assert answer["middleware"] == ["z4j_django.requests.route_middleware"]
    site.variables["Z4J_APP"] = "from the environment"
    answer, _ = ask(site, {"APP": "from settings", "CELERY_APP": "celery:current_app"})
    assert answer["app"] == "from the environment"


def test_without_a_connection_string_nothing_is_touched(site: Any) -> None:
    site.variables["Z4J_URL"] = ""
    answer, _ = ask(site, {"URL": "z4j+ws://token@127.0.0.1:9"})  # the environment says: off
    assert (answer["apps"], answer["middleware"]) == (None, [])
    del site.variables["Z4J_URL"]


def test_mistakes_in_the_settings_are_a_line_in_the_log(site: Any) -> None:
    answer, log = ask(site, {"CELERY_APP": "nowhere:app", "ALOW": "read"})
    assert answer["apps"] == []
    assert "finding the Celery app (ModuleNotFoundError)" in log
    assert "ALOW" in log
    answer, log = ask(site, 5)
    assert answer["apps"] is None
    assert "Django's start" in log
