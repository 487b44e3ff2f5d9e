"""Make this installation the owner of the database, after a move. The old one stops sending production mail."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from delivery.models import Installation


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        Installation.objects.update_or_create(
            singleton=True, defaults={"installation_id": settings.INSTALLATION_ID, "recorded_at": timezone.now()}
        )
        self.stdout.write(f"This database now belongs to installation {settings.INSTALLATION_ID}.")
