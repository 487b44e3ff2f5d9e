"""Which way out an environment has."""

from django.conf import settings

from delivery import defaults, installation
from delivery.channels import smtp
from delivery.channels.base import Channel
from delivery.channels.sandbox import SandboxChannel
from delivery.channels.shared import SharedRelay
from projects.models import Environment
from projects.scoping import Scope


def email_channel(scope: Scope) -> Channel:
    """Production: the relay of EMAIL_URL, if the database belongs to this installation. Sandbox: the capture server,
    and the relay for the allow-list only."""
    within = defaults.of(scope=scope).connections
    world = SharedRelay(scope=scope, channel=smtp.channel(settings.EMAIL_URL), within=within)
    if scope.is_production:
        installation.require_own()
        return world
    allowed = Environment.objects.values_list("sandbox_allow_list", flat=True).get(pk=scope.environment_id)
    capture = SharedRelay(scope=scope, channel=smtp.channel(settings.CAPTURE_URL), within=within)
    return SandboxChannel(world=world, capture=capture, allowed=allowed)
