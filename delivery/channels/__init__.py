"""Which way out an environment has."""

from django.conf import settings

from delivery import installation
from delivery.channels import smtp
from delivery.channels.base import Channel
from delivery.channels.sandbox import SandboxChannel
from projects.models import Environment
from projects.scoping import Scope


def email_channel(scope: Scope) -> Channel:
    """Production: the relay of EMAIL_URL, if the database belongs to this installation. Sandbox: the capture server,
    and the relay for the allow-list only."""
    if scope.is_production:
        installation.require_own()
        return smtp.channel(settings.EMAIL_URL)
    allowed = Environment.objects.values_list("sandbox_allow_list", flat=True).get(pk=scope.environment_id)
    return SandboxChannel(
        world=smtp.channel(settings.EMAIL_URL), capture=smtp.channel(settings.CAPTURE_URL), allowed=allowed
    )
