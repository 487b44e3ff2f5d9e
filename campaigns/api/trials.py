"""REST of tests: send a template to oneself or to a seed list. Nothing of it is counted."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import seeds, templates, trials
from campaigns.models import SeedList
from campaigns.models.seeds import SEEDS_MAX
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.rate import require_rate
from lamba_campaigns.web.rest import RestView, StrictSerializer, validated

IDEMPOTENCY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)


class SeedBody(StrictSerializer):
    name = serializers.CharField(max_length=80)
    addresses = serializers.ListField(child=serializers.CharField(max_length=254), min_length=1, max_length=SEEDS_MAX)


class SeedRead(serializers.Serializer[SeedList]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    addresses = serializers.ListField(child=serializers.CharField())
    createdBy = serializers.CharField(source="created_by")
    createdAt = serializers.DateTimeField(source="created_at")


class SeedPage(serializers.Serializer[Any]):
    items = SeedRead(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class TrialBody(StrictSerializer):
    seedList = serializers.CharField(
        source="seed_list", max_length=31, required=False, help_text="sed_…; left out: your own address."
    )
    personId = serializers.CharField(
        source="person", max_length=128, required=False, help_text="Whose fields fill it; a sample when left out."
    )


class TrialRead(serializers.Serializer[Any]):
    address = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["accepted", "deferred", "rejected", "failed", "uncertain"])
    detail = serializers.CharField()


class TrialsRead(serializers.Serializer[Any]):
    items = TrialRead(many=True)


class SeedLists(RestView):
    permissions = {"GET": "console.read", "POST": "templates.write"}

    @extend_schema(operation_id="seed_lists_list", responses=SeedPage)
    def get(self, request: Request) -> Response:
        """By name; there are few, so this is always the only page."""
        rows = [SeedRead(row).data for row in seeds.lists(scope=self.scope)]
        return Response({"items": rows, "nextCursor": None})

    @extend_schema(
        operation_id="seed_lists_create", parameters=[IDEMPOTENCY], request=SeedBody, responses={201: SeedRead}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A new list of mailboxes of your own."""
        values = validated(SeedBody, request)
        made = seeds.create(scope=self.scope, actor=self.actor, now=timezone.now(), **values)
        return Response(SeedRead(made).data, 201)


class SeedListItem(RestView):
    permissions = {"DELETE": "templates.write"}

    @extend_schema(operation_id="seed_lists_delete", responses={204: None})
    def delete(self, request: Request, seed_list: str) -> Response:
        seeds.delete(scope=self.scope, actor=self.actor, seed_list=seed_list, now=timezone.now())
        return Response(status=204)


class TemplateTest(RestView):
    permissions = {"POST": "templates.write"}

    @extend_schema(
        operation_id="templates_test", parameters=[IDEMPOTENCY], request=TrialBody, responses={200: TrialsRead}
    )
    @idempotent
    def post(self, request: Request, template: str) -> Response:
        """Send what the editor shows, marked [Test], through the real channel. Never counted; audited; 20 an hour."""
        values = validated(TrialBody, request)
        found = templates.find(scope=self.scope, template_id=template)
        named = values.get("seed_list")
        require_rate("trial", self.actor.id, rate=trials.TRIAL_RATE)
        sent = trials.send(
            scope=self.scope,
            actor=self.actor,
            template=found,
            message=templates.current(scope=self.scope, template=found),
            addresses=seeds.find(scope=self.scope, seed_list=named).addresses
            if named
            else trials.own_address(self.actor),
            person_id=values.get("person"),
            now=timezone.now(),
        )
        return Response({"items": [each.as_json() for each in sent]})
