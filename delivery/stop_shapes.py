"""The shape of stop limits in REST: of the environment's settings and of a campaign's rules alike."""

from typing import Any

from rest_framework import serializers

from delivery.stop_limits import KINDS, PERCENT_MAX, PERCENT_MIN
from lamba_campaigns.web.rest import StrictSerializer


class StopLimit(StrictSerializer):
    """Percent of what was attempted. A warning comes before the stop."""

    warn = serializers.FloatField(min_value=PERCENT_MIN, max_value=PERCENT_MAX)
    stop = serializers.FloatField(min_value=PERCENT_MIN, max_value=PERCENT_MAX)


class StopLimits(StrictSerializer):
    """A rule that is left out stays as it is without this."""

    def get_fields(self) -> Any:
        return {kind.name: StopLimit(required=False, help_text=f"{kind.label}.") for kind in KINDS}
