"""REST of what was really sent: the message of one person, as its parts or as the bytes that left."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from delivery import jobs, replay
from delivery.content.mime import Envelope
from delivery.sent_parts import parts, source
from lamba_campaigns.web.rest import RestView


class SentRead(serializers.Serializer[Any]):
    sender = serializers.CharField()
    recipient = serializers.CharField()
    subject = serializers.CharField()
    headers = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    html = serializers.CharField()
    text = serializers.CharField()


class _Sent(RestView):
    permissions = {"GET": "people.read"}

    def built(self, job: str, position: int) -> Envelope:
        return replay.sent(scope=self.scope, job=jobs.get(scope=self.scope, public_id=job), position=position)


class MessageSent(_Sent):
    @extend_schema(tags=["Delivery"], operation_id="readSentMessage", responses=SentRead)
    def get(self, request: Request, job: str, position: int) -> Response:
        """Built again from the frozen version and fields. 409 when nothing was handed over."""
        return Response(parts(self.built(job, position)))


class MessageSentSource(_Sent):
    @extend_schema(tags=["Delivery"], operation_id="readSentSource", responses={(200, "message/rfc822"): bytes})
    def get(self, request: Request, job: str, position: int) -> HttpResponse:
        """The same as the bytes that left."""
        return source(self.built(job, position), job, position)
