"""REST of the in-app inbox. A product's backend asks for a token with its API key; the front end uses only the token.

The front end lives at another origin: these answers may be read from anywhere, because the token alone opens them.
"""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audiences.models import Person
from delivery import inbox, inbox_stream
from delivery.api.serializers import moment
from delivery.inbox import (
    IDS_MAX,
    TTL_SECONDS_DEFAULT,
    TTL_SECONDS_MAX,
    TTL_SECONDS_MIN,
    InboxTokenRefused,
    Item,
    Reader,
)
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from lamba_campaigns.web import queries
from lamba_campaigns.web.pagination import cursor_number, encode_cursor, page_size
from lamba_campaigns.web.rate import require_rate
from lamba_campaigns.web.rest import RestView, StrictSerializer, validated

READER_RATE = "300/minute"  # of one person's inbox
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
CORS: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "86400",
}


class InboxPrincipal:
    """What DRF calls the user: a person of the product."""

    is_authenticated = True

    def __init__(self, who: Reader) -> None:
        self.pk = who.person_id


class InboxToken(BaseAuthentication):
    """`Authorization: Bearer <token>`; an EventSource can't send headers, so the stream also takes `?token=`."""

    def authenticate(self, request: Request) -> tuple[InboxPrincipal, Reader]:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else request.query_params.get("token", "")
        if not given:
            raise InboxTokenRefused("This needs an inbox token.", next_step="Send Authorization: Bearer <token>.")
        who = inbox.reader(token=given, now=timezone.now())
        require_rate("inbox", str(who.person_id), rate=READER_RATE)
        return InboxPrincipal(who), who

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class InboxTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes an inbox token."""

    target_class = InboxToken
    name = "inboxToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "inbox token"}


class TokenRequest(StrictSerializer):
    person = serializers.CharField(max_length=128, help_text="Your user id, or per_…")
    ttlSeconds = serializers.IntegerField(
        source="seconds", min_value=TTL_SECONDS_MIN, max_value=TTL_SECONDS_MAX, default=TTL_SECONDS_DEFAULT
    )


class TokenResponse(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Opens this person's inbox and nothing else.")
    expiresAt = serializers.DateTimeField()


class InboxItemResponse(serializers.Serializer[Any]):
    id = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField()
    html = serializers.CharField(help_text="Sanitised: no scripts, no handlers, links to http, https, mailto and tel.")
    createdAt = serializers.DateTimeField()
    readAt = serializers.DateTimeField(allow_null=True)
    archivedAt = serializers.DateTimeField(allow_null=True)


class InboxPage(serializers.Serializer[Any]):
    items = InboxItemResponse(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class ReadRequest(StrictSerializer):
    ids = serializers.ListField(child=serializers.CharField(max_length=20), required=False, max_length=IDS_MAX)
    upTo = serializers.CharField(max_length=20, required=False, help_text="Everything up to this id. One of the two.")


class ArchiveRequest(StrictSerializer):
    ids = serializers.ListField(child=serializers.CharField(max_length=20), max_length=IDS_MAX)
    archived = serializers.BooleanField(default=True)


class UnreadResponse(serializers.Serializer[Any]):
    unread = serializers.IntegerField(help_text=f"Counted up to {inbox.UNREAD_COUNTED_MAX}.")


class InboxTokens(RestView):
    permissions = {"POST": "people.read"}

    @extend_schema(
        tags=["Inbox"], operation_id="createInboxToken", request=TokenRequest, responses={201: TokenResponse}
    )
    def post(self, request: Request) -> Response:
        """For your backend: what your front end opens one person's inbox with. Ask again before it ends."""
        given = validated(TokenRequest, request)
        people = Person.objects.within(self.scope).filter(erased_at=None)
        person = people.filter(external_id=given["person"]).first() or people.filter(public_id=given["person"]).first()
        if person is None:
            detail = "There is no such person in this environment."
            raise Invalid(detail, problems=(FieldProblem("#/person", "unknown", detail),))
        token, ends = inbox.issue(scope=self.scope, person=person, seconds=given["seconds"], now=timezone.now())
        return Response({"token": token, "expiresAt": moment(ends)}, status=201)


class InboxView(APIView):
    """Base: the token is the permission, and any origin may read the answer."""

    authentication_classes = [InboxToken]
    permission_classes = []
    http_method_names = ["get", "post", "options"]  # no HEAD: what is fetched counts as delivered

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        queries.require_known(self, request)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "OPTIONS":  # a browser asks before it sends the token
            return HttpResponse(status=204, headers=dict(CORS))
        answer = super().dispatch(request, *args, **kwargs)
        for name, value in CORS.items():
            answer.headers[name] = value
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    @property
    def who(self) -> Reader:
        found: Reader = self.request.auth  # type: ignore[assignment]
        return found


class Inbox(InboxView):
    @extend_schema(
        tags=["Inbox"],
        operation_id="readInbox",
        parameters=[OpenApiParameter("archived", bool), *PAGING],
        responses=InboxPage,
    )
    def get(self, request: Request) -> Response:
        """Messages of this person, newest first. What is fetched for the first time counts as delivered."""
        size = page_size(request)
        archived = request.query_params.get("archived", "").lower() == "true"
        before = cursor_number(request)
        items = inbox.fetch(who=self.who, before=before, archived=archived, limit=size, now=timezone.now())
        following = items[-1].id if len(items) == size else None
        return Response({"items": [item_json(each) for each in items], "nextCursor": encode_cursor(following)})


class InboxRead(InboxView):
    @extend_schema(tags=["Inbox"], operation_id="markInboxRead", request=ReadRequest, responses=UnreadResponse)
    def post(self, request: Request) -> Response:
        """These are read now; each counts as opened, once."""
        given = validated(ReadRequest, request)
        if ("ids" in given) == ("upTo" in given):
            detail = "Name ids, or the id up to which everything is read."
            raise Invalid(detail, problems=(FieldProblem("#/ids", "required", detail),))
        ids = _numbers(given["ids"], "ids") if "ids" in given else None
        upto = _numbers([given["upTo"]], "upTo")[0] if "upTo" in given else 0
        inbox.read(who=self.who, ids=ids, upto=upto, now=timezone.now())
        return Response({"unread": inbox.unread(who=self.who)})


class InboxArchive(InboxView):
    @extend_schema(tags=["Inbox"], operation_id="archiveInbox", request=ArchiveRequest, responses=UnreadResponse)
    def post(self, request: Request) -> Response:
        """These are put away, or back into the inbox."""
        given = validated(ArchiveRequest, request)
        ids = _numbers(given["ids"], "ids")
        inbox.archive(who=self.who, ids=ids, archived=given["archived"], now=timezone.now())
        return Response({"unread": inbox.unread(who=self.who)})


class InboxUnread(InboxView):
    @extend_schema(tags=["Inbox"], operation_id="countInboxUnread", responses=UnreadResponse)
    def get(self, request: Request) -> Response:
        return Response({"unread": inbox.unread(who=self.who)})


class EventStream(BaseContentNegotiation):
    """An EventSource accepts text/event-stream alone; a refusal is JSON all the same."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class InboxStream(InboxView):
    content_negotiation_class = EventStream

    @extend_schema(
        tags=["Inbox"],
        operation_id="watchInbox",
        parameters=[OpenApiParameter("token", str, description="For EventSource, which sends no headers.")],
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Server-sent events `inbox` with `{newest, unread}`: one at once, then one for each change."""
        answer = StreamingHttpResponse(inbox_stream.events(who=self.who), content_type="text/event-stream")
        answer["Cache-Control"] = "no-store, no-transform"  # compressed, it would be held back
        answer["Content-Encoding"] = "identity"
        answer["X-Accel-Buffering"] = "no"
        return answer


def item_json(item: Item) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "title": item.title,
        "text": item.text,
        "html": item.html,
        "createdAt": moment(item.created_at),
        "readAt": moment(item.read_at),
        "archivedAt": moment(item.archived_at),
    }


def _numbers(texts: list[str], name: str) -> list[int]:
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
        detail = "An id is one that this inbox gave."
        raise Invalid(detail, problems=(FieldProblem(f"#/{name}", "unknown", detail),))
    return [int(text) for text in texts]
