"""REST of pace: the rules of a draft, and the simulator that shows what they mean before anybody is contacted."""

from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import drafts, preflight, simulation
from delivery.pacing.rules import DOMAIN_RATE_MAX, PAST, WAVE_MAX, WAVES_MAX, ZONES
from delivery.stop_shapes import StopLimits
from lamba_campaigns.web.pagination import bad_query
from lamba_campaigns.web.rest import RestView, StrictSerializer, validated

CLOCK_HELP: Final = "A time on the wall, such as 09:30."


class Window(StrictSerializer):
    """Over midnight where it closes before it opens. Days are those on which it opens."""

    opens = serializers.CharField(max_length=5, help_text=CLOCK_HELP)
    closes = serializers.CharField(max_length=5, help_text=CLOCK_HELP)
    days = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7),
        required=False,
        max_length=7,
        help_text="1 is Monday, 7 is Sunday. Every day when left out.",
    )


class QuietHours(StrictSerializer):
    """Nobody is contacted then, whatever else is ruled."""

    until = serializers.CharField(max_length=5, help_text=CLOCK_HELP)

    def get_fields(self) -> Any:
        start = serializers.CharField(max_length=5, help_text=CLOCK_HELP)
        return {"from": start, **super().get_fields()}  # `from` is a word of Python's own


class SendingRules(StrictSerializer):
    """When, and how many at a time. Everything is optional; the document replaces the one before as a whole."""

    zone = serializers.ChoiceField(
        choices=list(ZONES),
        required=False,
        help_text="Whose clock window and quiet hours are read on. People without a time zone count as living in "
        "the campaign's timeZone.",
    )
    window = Window(required=False, allow_null=True)
    quietHours = QuietHours(required=False, allow_null=True)
    past = serializers.ChoiceField(
        choices=list(PAST),
        required=False,
        help_text="What happens to people whose window is over for the day when their turn comes.",
    )
    waves = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=WAVE_MAX),
        required=False,
        max_length=WAVES_MAX,
        help_text="At most so many people on the first day, the second and so on; then everybody. Days on which "
        "nobody was contacted do not count.",
    )
    domainLimits = serializers.DictField(
        child=serializers.IntegerField(min_value=1, max_value=DOMAIN_RATE_MAX),
        required=False,
        help_text="Mailbox domain -> messages a minute. All campaigns of the environment share what a domain takes.",
    )
    stopLimits = StopLimits(required=False, help_text="Instead of those of the environment.")


class ZoneRead(serializers.Serializer[Any]):
    timeZone = serializers.CharField()
    people = serializers.IntegerField()


class HourRead(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    people = serializers.IntegerField()


class DayRead(serializers.Serializer[Any]):
    date = serializers.DateField(help_text="In the campaign's time zone.")
    wave = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True, help_text="People of the wave; null for everybody.")
    people = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Left out because their window was over.")
    beginsAt = serializers.DateTimeField(allow_null=True)
    endsAt = serializers.DateTimeField(allow_null=True)
    clocksMoveMinutes = serializers.IntegerField(help_text="60 where clocks go forward on that day, -60 back.")
    timeZones = ZoneRead(many=True)
    hours = HourRead(many=True)


class SimulationRead(serializers.Serializer[Any]):
    timeZone = serializers.CharField()
    startsAt = serializers.DateTimeField()
    exact = serializers.BooleanField(help_text="False: the audience was sampled, numbers are rounded.")
    people = serializers.IntegerField()
    skipped = serializers.IntegerField()
    beyondCap = serializers.IntegerField(help_text="Beyond totalCap: they are cancelled.")
    contactedTooOften = serializers.IntegerField(help_text="Left out by the frequency cap, as of the start.")
    notReached = serializers.IntegerField(help_text="Still waiting after 62 days.")
    withoutTimeZone = serializers.IntegerField()
    perMinute = serializers.IntegerField()
    paceIsAssumed = serializers.BooleanField(help_text="No rate is set: the speed of a usual relay is assumed.")
    beginsAt = serializers.DateTimeField(allow_null=True)
    endsAt = serializers.DateTimeField(allow_null=True)
    days = DayRead(many=True)


class SimulateBody(StrictSerializer):
    """The draft as it stands, or with other rules."""

    at = serializers.DateTimeField(required=False, help_text="When it starts; the proposed time, else now.")
    totalCap = serializers.IntegerField(source="total_cap", min_value=1, required=False, allow_null=True)
    ratePerMinute = serializers.IntegerField(source="rate_per_minute", min_value=1, required=False, allow_null=True)
    sendingRules = SendingRules(source="sending_rules", required=False, allow_null=True)


class CampaignSimulate(RestView):
    permissions = {"GET": "console.read", "POST": "console.read"}

    @extend_schema(
        operation_id="campaigns_simulation",
        parameters=[OpenApiParameter("at", str, description="When it starts; the proposed time, else now.")],
        responses=SimulationRead,
    )
    def get(self, request: Request, campaign: str) -> Response:
        """Every day on which somebody would be contacted, by the rules that the engine follows. Nothing is kept."""
        return self._simulated(campaign, {"at": _moment(request.query_params.get("at"))})

    @extend_schema(operation_id="campaigns_simulate", request=SimulateBody, responses=SimulationRead)
    def post(self, request: Request, campaign: str) -> Response:
        """The same with other rules, to compare. Nothing is kept."""
        return self._simulated(campaign, validated(SimulateBody, request))

    def _simulated(self, campaign: str, values: dict[str, Any]) -> Response:
        found, now = drafts.find(scope=self.scope, campaign_id=campaign), timezone.now()
        at = values.get("at") or preflight.sends_at(found, now)
        simulation.vary(found, values)
        return Response(simulation.simulate(scope=self.scope, campaign=found, at=max(at, now), now=now).as_json())


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise bad_query("at", f"{text[:40]!r} is no moment.", "Use 2026-11-24T08:30:00Z.")
    return found
