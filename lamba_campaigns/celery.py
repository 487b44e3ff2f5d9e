"""The Celery application. Beat only rings doorbells: every task finds its work in Postgres."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lamba_campaigns.settings")

app = Celery("lamba_campaigns")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
