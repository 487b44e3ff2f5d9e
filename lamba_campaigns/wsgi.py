"""The application that a WSGI server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lamba_campaigns.settings")
_django = get_wsgi_application()

from lamba_campaigns.web.unread import finish_reading  # noqa: E402 - needs Django set up

application = finish_reading(_django)
