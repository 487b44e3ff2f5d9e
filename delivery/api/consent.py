"""REST of consent: topics, what stands for a person with its evidence, and links to the preference page."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import people
from delivery import preferences, standing, topics
from delivery.api.serializers import moment
from delivery.models import ConsentEvent, Topic
from delivery.standing import ChannelStanding, Fact
from delivery.unsubscribing import link
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import page
from lamba_campaigns.web.rest import RestView, StrictSerializer, etag, expected_version, validated

TOPIC = OpenApiParameter("topic", str, OpenApiParameter.PATH, description="top_…")
PERSON = OpenApiParameter("person", str, OpenApiParameter.PATH, description="per_…")
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The etag you read.")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
DECISIONS = ["consented", "withdrawn", "unsubscribed", "resubscribed"]


class TopicRequest(StrictSerializer):
    slug = serializers.CharField(max_length=40, help_text="Short name, such as product-news. It never changes.")
    name = serializers.CharField(max_length=80)
    description = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    optIn = serializers.BooleanField(
        source="opt_in", required=False, default=False, help_text="Only people who said yes get it."
    )


class TopicChange(StrictSerializer):
    name = serializers.CharField(max_length=80, required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)


class TopicResponse(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="top_…")
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    optIn = serializers.BooleanField()
    archivedAt = serializers.DateTimeField(allow_null=True)
    createdAt = serializers.DateTimeField()
    createdBy = serializers.CharField()
    etag = serializers.CharField()


class TopicPage(serializers.Serializer[Any]):
    items = TopicResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class ConsentFactResponse(serializers.Serializer[Any]):
    holds = serializers.BooleanField()
    source = serializers.CharField(help_text="The event, import or decision that told it.")  # type: ignore[assignment]
    since = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()


class TopicStandingResponse(serializers.Serializer[Any]):
    topic = serializers.CharField(help_text="Its slug.")
    wanted = serializers.BooleanField()
    decided = serializers.BooleanField(help_text="False: what stands for everybody who never chose.")


class ChannelStandingResponse(serializers.Serializer[Any]):
    channel = serializers.CharField()
    reachable = serializers.BooleanField()
    consent = ConsentFactResponse()
    unsubscribed = ConsentFactResponse()
    suppressed = ConsentFactResponse()
    topics = TopicStandingResponse(many=True)


class ConsentResponse(serializers.Serializer[Any]):
    person = serializers.CharField()
    channels = ChannelStandingResponse(many=True)


class DecisionRequest(StrictSerializer):
    decision = serializers.ChoiceField(choices=DECISIONS)
    channel = serializers.CharField(max_length=20)
    topic = serializers.CharField(max_length=40, required=False, default="", help_text="Slug; absent: the channel.")
    occurredAt = serializers.DateTimeField(source="occurred_at", required=False, default=None)
    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name is what we mean
        max_length=80, required=False, default="", help_text="Your id of the evidence; the same one counts once."
    )
    reason = serializers.CharField(max_length=300, required=False, default="", help_text="How you know.")


class EvidenceResponse(serializers.Serializer[Any]):
    decision = serializers.CharField()
    channel = serializers.CharField()
    topic = serializers.CharField()
    address = serializers.CharField()
    how = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    actor = serializers.CharField()
    ip = serializers.CharField()
    occurredAt = serializers.DateTimeField()
    recordedAt = serializers.DateTimeField()


class EvidencePage(serializers.Serializer[Any]):
    items = EvidenceResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class LinkResponse(serializers.Serializer[Any]):
    url = serializers.URLField(help_text="Opens this person's preferences without signing in. It never expires.")


class TopicList(RestView):
    permissions = {"GET": "console.read", "POST": "settings.manage"}

    @extend_schema(tags=["Consent"], operation_id="listTopics", parameters=PAGING, responses=TopicPage)
    def get(self, request: Request) -> Response:
        """Topics, newest first, archived ones too."""
        return page(Topic.objects.within(self.scope), request, topic_json)

    @extend_schema(tags=["Consent"], operation_id="createTopic", request=TopicRequest, responses={201: TopicResponse})
    @idempotent
    def post(self, request: Request) -> Response:
        """People can choose it from now on; campaigns can be about it."""
        topic = topics.create(
            scope=self.scope, actor=self.actor, now=timezone.now(), **validated(TopicRequest, request)
        )
        headers = {"Location": f"/api/v1/topics/{topic.public_id}", "ETag": etag(topic.state_version)}
        return Response(topic_json(topic), status=201, headers=headers)


class TopicDetail(RestView):
    permissions = {"GET": "console.read", "PATCH": "settings.manage", "DELETE": "settings.manage"}

    @extend_schema(tags=["Consent"], operation_id="readTopic", parameters=[TOPIC], responses=TopicResponse)
    def get(self, request: Request, topic: str) -> Response:
        return _answer(topics.get(scope=self.scope, public_id=topic))

    @extend_schema(
        tags=["Consent"],
        operation_id="changeTopic",
        parameters=[TOPIC, IF_MATCH],
        request=TopicChange,
        responses=TopicResponse,
    )
    def patch(self, request: Request, topic: str) -> Response:
        version, found = expected_version(request), topics.get(scope=self.scope, public_id=topic)
        words = {"name": found.name, "description": found.description} | validated(TopicChange, request)
        changed = topics.edit(
            scope=self.scope, actor=self.actor, public_id=topic, version=version, now=timezone.now(), **words
        )
        return _answer(changed)

    @extend_schema(tags=["Consent"], operation_id="archiveTopic", parameters=[TOPIC, IF_MATCH], responses={204: None})
    def delete(self, request: Request, topic: str) -> Response:
        """No longer offered. What people chose stays, and so do campaigns about it."""
        version = expected_version(request)
        topics.archive(scope=self.scope, actor=self.actor, public_id=topic, version=version, now=timezone.now())
        return Response(status=204)


class PersonConsent(RestView):
    permissions = {"GET": "people.read", "POST": "suppressions.write"}

    @extend_schema(tags=["Consent"], operation_id="readConsent", parameters=[PERSON], responses=ConsentResponse)
    def get(self, request: Request, person: str) -> Response:
        """What stands on every channel and topic, and what told so."""
        found = people.get(scope=self.scope, public_id=person)
        channels = [channel_json(each) for each in standing.of(scope=self.scope, person=found)]
        return Response({"person": found.public_id, "channels": channels})

    @extend_schema(
        tags=["Consent"],
        operation_id="recordConsent",
        parameters=[PERSON],
        request=DecisionRequest,
        responses=ConsentResponse,
    )
    @idempotent
    def post(self, request: Request, person: str) -> Response:
        """Write down what the person decided. It acts before the next micro-batch of every running campaign."""
        given = validated(DecisionRequest, request)
        found = people.get(scope=self.scope, public_id=person)
        standing.record(
            scope=self.scope,
            actor=self.actor,
            person=found,
            action=given.pop("decision"),
            how="api",
            now=timezone.now(),
            **given,
        )
        return self.get(request, person)


class PersonConsentEvents(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Consent"], operation_id="listConsentEvidence", parameters=[PERSON, *PAGING], responses=EvidencePage
    )
    def get(self, request: Request, person: str) -> Response:
        """Every decision that was recorded, newest first: who, when, how, and what stands behind it."""
        found = people.get(scope=self.scope, public_id=person)
        return page(standing.evidence(scope=self.scope, person=found), request, evidence_json)


class PersonPreferenceLink(RestView):
    permissions = {"POST": "suppressions.write"}

    @extend_schema(
        tags=["Consent"],
        operation_id="createPreferenceLink",
        parameters=[PERSON],
        request=None,
        responses=LinkResponse,
    )
    def post(self, request: Request, person: str) -> Response:
        """A link for your product's own settings page. Whoever has it can choose for this person."""
        found = people.get(scope=self.scope, public_id=person)
        return Response({"url": link(preferences.link_of(scope=self.scope, person_id=found.pk))})


def topic_json(row: Topic) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "slug": row.slug,
        "name": row.name,
        "description": row.description,
        "optIn": row.opt_in,
        "archivedAt": moment(row.archived_at),
        "createdAt": moment(row.created_at),
        "createdBy": row.created_by,
        "etag": etag(row.state_version),
    }


def channel_json(each: ChannelStanding) -> dict[str, Any]:
    return {
        "channel": each.channel,
        "reachable": each.reachable,
        "consent": _fact_json(each.consent),
        "unsubscribed": _fact_json(each.unsubscribed),
        "suppressed": _fact_json(each.suppressed),
        "topics": [{"topic": line.topic.slug, "wanted": line.wanted, "decided": line.decided} for line in each.topics],
    }


def evidence_json(row: ConsentEvent) -> dict[str, Any]:
    return {
        "decision": row.action,
        "channel": row.channel,
        "topic": row.topic,
        "address": row.address,
        "how": row.how,
        "source": row.source,
        "actor": row.actor,
        "ip": row.ip,
        "occurredAt": moment(row.occurred_at),
        "recordedAt": moment(row.recorded_at),
    }


def _fact_json(fact: Fact) -> dict[str, Any]:
    return {"holds": fact.holds, "source": fact.source, "since": moment(fact.since), "note": fact.note}


def _answer(topic: Topic) -> Response:
    return Response(topic_json(topic), headers={"ETag": etag(topic.state_version)})
