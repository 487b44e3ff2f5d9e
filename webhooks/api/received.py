"""Shapes of received events in REST: listed, held against their schema, processed again."""

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from lamba_campaigns.web.rest import StrictSerializer
from webhooks import breaches, dead_letters, redrive
from webhooks.models import InboundEvent
from webhooks.reasons import REASON_LENGTH_MAX
from webhooks.rehearsal import Foreseen

STATES = [state.value for state in InboundEvent.State]


class InboundEventResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="As the sender gave it; `sha256:…` of a body without an id.")
    type = serializers.CharField(allow_null=True)
    source = serializers.CharField(help_text="lamba, provider or internal.")  # type: ignore[assignment]
    state = serializers.CharField(help_text=f"One of {', '.join(STATES)}.")
    occurredAt = serializers.DateTimeField(allow_null=True, help_text="As the sender claims.")
    ahead = serializers.BooleanField(help_text="It claims a time in the future, so it counts from receivedAt.")
    receivedAt = serializers.DateTimeField()
    handledAt = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    deliveryCount = serializers.IntegerField()
    conflict = serializers.BooleanField()


class BreachResponse(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="Such as data.roles[0].")
    found = serializers.CharField(help_text="What it holds, as JSON.")
    wanted = serializers.CharField(help_text="The part of the schema that speaks of it, as JSON.")
    detail = serializers.CharField()


class InboundEventDetailResponse(InboundEventResponse):
    fitsSchema = serializers.BooleanField(allow_null=True, help_text="null where no schema speaks.")
    breaches = BreachResponse(many=True, help_text="Each field that breaks the schema of its type.")
    error = serializers.CharField(allow_blank=True)
    headers = serializers.DictField(child=serializers.CharField())
    body = serializers.CharField(help_text="As text; bytes that are no UTF-8 are replaced.")
    sha256 = serializers.CharField()


class InboundEventPage(serializers.Serializer[Any]):
    items = InboundEventResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class RedriveRequest(StrictSerializer):
    """Either `eventIds`, or a range by `state` and what narrows it."""

    eventIds = serializers.ListField(
        source="event_ids",
        child=serializers.CharField(max_length=128),
        min_length=1,
        max_length=redrive.REDRIVE_EVENTS_MAX,
        required=False,
    )
    state = serializers.RegexField(
        f"^({'|'.join(dead_letters.STATES)})$", required=False, help_text=f"One of {', '.join(dead_letters.STATES)}."
    )
    type = serializers.CharField(max_length=120, required=False)
    because = serializers.RegexField(
        f"^({'|'.join(dead_letters.REASON_WORDS)})$",
        required=False,
        help_text=f"Why they were set aside: one of {', '.join(dead_letters.REASON_WORDS)}.",
    )
    endpoint = serializers.CharField(max_length=31, required=False, help_text="whe_… that they came through.")
    since = serializers.DateTimeField(required=False, help_text="Received at or after it.")
    until = serializers.DateTimeField(required=False, help_text="Received before it.")
    reason = serializers.CharField(max_length=REASON_LENGTH_MAX, help_text="Kept in the audit trail.")
    dryRun = serializers.BooleanField(
        source="dry_run", default=False, help_text="Try them for real, roll all of it back, and say what would happen."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("event_ids" in attrs) == ("state" in attrs):
            raise serializers.ValidationError({"eventIds": ["Send either eventIds or a state."]}, code="one_of")
        return attrs


class ForeseenResponse(serializers.Serializer[Any]):
    id = serializers.CharField()
    state = serializers.CharField(help_text="What it would become: processed, or one of the states it may be in now.")
    error = serializers.CharField(allow_blank=True, help_text="Why it would not be processed.")


class RedriveResponse(serializers.Serializer[Any]):
    eventIds = serializers.ListField(child=serializers.CharField())
    dryRun = serializers.BooleanField()
    foreseen = ForeseenResponse(many=True, required=False, help_text="Of a dry run: what would become of each.")


def selection_of(given: dict[str, Any]) -> dead_letters.Selection:
    """A range as REST names it: `because` is the reason that was written down, `reason` the one that is given now."""
    range_ = {name: given[name] for name in ("state", "type", "endpoint", "since", "until") if name in given}
    return dead_letters.Selection(**range_, reason=given.get("because"))


def foreseen_json(foreseen: Foreseen) -> dict[str, Any]:
    return {"id": foreseen.event_id, "state": foreseen.state, "error": foreseen.error}


def inbound_json(event: InboundEvent) -> dict[str, Any]:
    return {
        "id": event.event_id,
        "type": event.type,
        "source": event.source,
        "state": event.state,
        "occurredAt": event.occurred_at,
        "ahead": event.is_ahead,
        "receivedAt": event.received_at,
        "handledAt": event.handled_at,
        "attempts": event.attempts,
        "deliveryCount": event.delivery_count,
        "conflict": event.conflict,
    }


def inbound_detail_json(event: InboundEvent) -> dict[str, Any]:
    checked = breaches.check(event)
    return inbound_json(event) | {
        "fitsSchema": checked.fits,
        "breaches": [asdict(each) for each in checked.breaches],
        "error": event.error,
        "headers": event.headers,
        "body": bytes(event.raw).decode("utf-8", "replace"),
        "sha256": bytes(event.sha256).hex(),
    }
