# SPDX-License-Identifier: Apache-2.0
import os

SECRET_KEY = "for tests only"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["shop"] if os.environ.get("WITHOUT_Z4J") else ["shop", "z4j_django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_TASK_IGNORE_RESULT = True
Z4J = {"APP": "shop", "ENVIRONMENT": "from settings", "ALLOW": "read"}
