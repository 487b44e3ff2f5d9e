"""REST of events: what came in, what went out, and the catalogue of both."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query, page, page_size
from lamba_campaigns.web.rest import RestView, validated
from webhooks import catalog, dead_letters, reading, redrive, rehearsal, resend
from webhooks.api import received
from webhooks.api import serializers as shapes
from webhooks.models import InboundEvent, OutboxEvent

EVENT = OpenApiParameter("event", str, OpenApiParameter.PATH, description="evt_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
FILTERS = [
    OpenApiParameter("state", str, enum=received.STATES),
    OpenApiParameter("type", str),
    OpenApiParameter("source", str, enum=list(InboundEvent.Source.values)),
    OpenApiParameter("because", str, enum=list(dead_letters.REASON_WORDS), description="Why they were set aside."),
    OpenApiParameter("endpoint", str, description="whe_… that they came through."),
    OpenApiParameter("since", datetime, description="Received at or after it."),
    OpenApiParameter("until", datetime, description="Received before it."),
]


class InboundEventList(RestView):
    permissions = {"GET": "events.read"}

    @extend_schema(
        tags=["Events"],
        operation_id="listInboundEvents",
        parameters=[*FILTERS, *PAGING],
        responses=received.InboundEventPage,
    )
    def get(self, request: Request) -> Response:
        given = request.query_params
        rows = reading.inbox(scope=self.scope, type=given.get("type", ""), source=given.get("source", ""))
        if state := _one_of(request, "state", received.STATES):
            rows = rows.filter(state=state)
        chosen = dead_letters.Selection(
            reason=_one_of(request, "because", list(dead_letters.REASON_WORDS)),
            endpoint=given.get("endpoint"),
            since=_moment(request, "since"),
            until=_moment(request, "until"),
        )
        return page(dead_letters.narrowed(rows, self.scope, chosen), request, received.inbound_json)


class InboundEventDetail(RestView):
    permissions = {"GET": "events.read"}

    @extend_schema(
        tags=["Events"],
        operation_id="readInboundEvent",
        parameters=[EVENT],
        responses=received.InboundEventDetailResponse,
    )
    def get(self, request: Request, event: str) -> Response:
        return Response(received.inbound_detail_json(reading.received(scope=self.scope, event_id=event)))


class Redrive(RestView):
    permissions = {"POST": "webhooks.manage"}

    @extend_schema(
        tags=["Events"],
        operation_id="redriveInboundEvents",
        request=received.RedriveRequest,
        responses={202: received.RedriveResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Process parked, quarantined or ignored events again; with `dryRun` only say what would happen."""
        given = validated(received.RedriveRequest, request)
        ids = given.get("event_ids")
        if ids is None:
            ids = redrive.select(scope=self.scope, selection=received.selection_of(given))
        if given["dry_run"]:
            found = rehearsal.rehearse(scope=self.scope, event_ids=ids, now=timezone.now())
            foreseen = [received.foreseen_json(each) for each in found]
            return Response({"eventIds": [each["id"] for each in foreseen], "dryRun": True, "foreseen": foreseen}, 202)
        if ids:
            ids = redrive.redrive(
                scope=self.scope, actor=self.actor, event_ids=ids, reason=given["reason"], now=timezone.now()
            )
        return Response({"eventIds": ids, "dryRun": False}, status=202)


class PublishedEventList(RestView):
    """The pull side of the outbox, for consumers that were down: the same ids and payloads as by webhook."""

    permissions = {"GET": "events.read"}

    @extend_schema(
        tags=["Events"],
        operation_id="listEvents",
        parameters=[
            OpenApiParameter(
                "after", str, description="The id of the last event you have; absent starts at the first."
            ),
            OpenApiParameter("type", str),
            OpenApiParameter("limit", int),
        ],
        responses=shapes.PublishedEventPage,
    )
    def get(self, request: Request) -> Response:
        """Oldest first. Keep the id of the last event you handled and ask for what is after it."""
        rows = OutboxEvent.objects.within(self.scope)
        after, kind = request.query_params.get("after"), request.query_params.get("type")
        if after:
            last = rows.filter(public_id=after).values_list("sequence", flat=True).first()
            if last is None:
                raise bad_query("after", f"{after!r} is no event of this environment.", "Send the id of an event.")
            rows = rows.filter(sequence__gt=last)
        if kind:
            rows = rows.filter(type=kind)
        size = page_size(request)
        found = list(rows.order_by("sequence")[: size + 1])
        items = [shapes.published_json(event) for event in found[:size]]
        return Response({"items": items, "nextCursor": found[size - 1].public_id if len(found) > size else None})


class PublishedEventDetail(RestView):
    permissions = {"GET": "events.read"}

    @extend_schema(
        tags=["Events"], operation_id="readEvent", parameters=[EVENT], responses=shapes.PublishedEventResponse
    )
    def get(self, request: Request, event: str) -> Response:
        return Response(shapes.published_json(reading.published(scope=self.scope, event_id=event)))


class PublishedEventDeliveries(RestView):
    permissions = {"GET": "events.read", "POST": "webhooks.manage"}

    @extend_schema(
        tags=["Events"], operation_id="listEventDeliveries", parameters=[EVENT], responses=shapes.DeliveryList
    )
    def get(self, request: Request, event: str) -> Response:
        found = reading.published(scope=self.scope, event_id=event)
        return Response(
            {"items": [shapes.delivery_json(each) for each in reading.deliveries(scope=self.scope, event=found)]}
        )

    @extend_schema(
        tags=["Events"],
        operation_id="resendEventDeliveries",
        parameters=[EVENT],
        request=shapes.ResendRequest,
        responses={202: shapes.ResendResponse},
    )
    @idempotent
    def post(self, request: Request, event: str) -> Response:
        """Send this event again, with the same id and bytes."""
        found = reading.published(scope=self.scope, event_id=event)
        given = validated(shapes.ResendRequest, request)
        own = {each.public_id for each in reading.deliveries(scope=self.scope, event=found)}
        count = resend.resend(
            scope=self.scope,
            actor=self.actor,
            delivery_ids=[each for each in given["delivery_ids"] if each in own],
            reason=given["reason"],
            now=timezone.now(),
        )
        return Response({"count": count}, status=202)


class EventTypes(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(tags=["Events"], operation_id="listEventTypes", responses=shapes.EventTypeList)
    def get(self, request: Request) -> Response:
        """Every type understood or sent here, with the JSON Schema of its data and a sample."""
        shown = [each for each in catalog.every() if each.audience == "public"]
        return Response({"items": [shapes.event_type_json(each) for each in shown]})


def _one_of(request: Request, name: str, known: Sequence[str]) -> str | None:
    text: str | None = request.query_params.get(name)
    if text is not None and text not in known:
        raise bad_query(name, f"{name} can't be {text[:40]!r}.", f"Use one of {', '.join(known)}.")
    return text


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    found = catalog.parse_moment(text) if text else None
    if text and found is None:
        raise bad_query(name, f"{text[:40]!r} is no time.", "Send ISO-8601 with a zone, such as 2026-11-23T09:00:00Z.")
    return found
