"""A production database that was copied elsewhere must not mail anybody.

The first installation that sends writes its id into the database; any other refuses to send from then on.
"""

from django.conf import settings
from django.utils import timezone

from delivery.models import Installation
from lamba_campaigns.lib.errors import DomainError


class OtherInstallation(DomainError):
    code = "OTHER_INSTALLATION"
    status = 409
    title = "This database belongs to another installation"


def require_own() -> None:
    """Returns when the database belongs to this installation (or to nobody yet: then it does now)."""
    Installation.objects.bulk_create(
        [Installation(installation_id=settings.INSTALLATION_ID, recorded_at=timezone.now())], ignore_conflicts=True
    )
    owner = Installation.objects.values_list("installation_id", flat=True).get()
    if owner != settings.INSTALLATION_ID:
        raise OtherInstallation(
            f"The database belongs to installation {owner!r}; this one is {settings.INSTALLATION_ID!r}. "
            "Production mail is not sent from a copy.",
            next_step="If this is the new home, run: manage.py adopt_installation.",
        )
