# SPDX-License-Identifier: Apache-2.0
import os
import sys

import django
from celery import Celery
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

celery = Celery("example", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
settings.configure(
    DEBUG=True,
    SECRET_KEY="an example needs no secret",
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    WSGI_APPLICATION=f"{__name__}.application",
    INSTALLED_APPS=["z4j_django"],
    Z4J={"APP": "example"},
)
django.setup()


@celery.task(name="ship")
def ship(number: int) -> str:
    return f"order {number} is on its way"


def order(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(ship.delay(number).id))


urlpatterns = [path("orders/<int:number>/", order)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
