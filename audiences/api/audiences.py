"""REST of audiences: definitions in versions, live counts, and why a person is (not) in."""

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import definitions, explaining, preview, snapshot, uses
from audiences.api import audience_shapes as shapes
from audiences.channels import CHANNEL_BITS
from audiences.models import Audience, AudienceVersion
from audiences.rules.parse import parse
from audiences.rules.sentence import sentence
from audiences.rules.vocabulary import load
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.pagination import bad_query, page
from lamba_campaigns.web.rest import RestView, etag, expected_version, validated

AUDIENCE = OpenApiParameter("audience", str, OpenApiParameter.PATH, description="aud_…")
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True, description="The etag you read.")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


class AudienceList(RestView):
    permissions = {"GET": "console.read", "POST": "audiences.write"}

    @extend_schema(
        tags=["Audiences"],
        operation_id="listAudiences",
        parameters=[*PAGING, OpenApiParameter("q", str, description="Part of the name.")],
        responses=shapes.AudiencePage,
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        found = definitions.with_latest(scope=self.scope)
        text = request.query_params.get("q", "").strip()
        return page(found.filter(name__icontains=text[:100]) if text else found, request, shapes.audience_json)

    @extend_schema(
        tags=["Audiences"],
        operation_id="createAudience",
        request=shapes.AudienceRequest,
        responses={201: shapes.AudienceResponse},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A new audience with version 1. 422 names every wrong place of the rule by JSON pointer."""
        given = validated(shapes.AudienceRequest, request)
        made = definitions.create(scope=self.scope, actor=self.actor, now=timezone.now(), **given)
        return _answer(self, made.public_id, status=201)


class AudienceDetail(RestView):
    permissions = {"GET": "console.read", "PATCH": "audiences.write", "DELETE": "audiences.write"}

    @extend_schema(
        tags=["Audiences"], operation_id="readAudience", parameters=[AUDIENCE], responses=shapes.AudienceResponse
    )
    def get(self, request: Request, audience: str) -> Response:
        return _answer(self, audience)

    @extend_schema(
        tags=["Audiences"],
        operation_id="updateAudience",
        parameters=[AUDIENCE, IF_MATCH],
        request=shapes.AudienceChanges,
        responses=shapes.AudienceResponse,
    )
    def patch(self, request: Request, audience: str) -> Response:
        """A rule that says something else becomes the next version. 409 while a scheduled campaign waits for a yes."""
        version = expected_version(request)
        given = validated(shapes.AudienceChanges, request)
        definitions.update(
            scope=self.scope,
            actor=self.actor,
            audience_id=audience,
            state_version=version,
            now=timezone.now(),
            **given,
        )
        return _answer(self, audience)

    @extend_schema(
        tags=["Audiences"], operation_id="deleteAudience", parameters=[AUDIENCE, IF_MATCH], responses={204: None}
    )
    def delete(self, request: Request, audience: str) -> Response:
        """Its versions stay for the snapshots that were taken of it."""
        version = expected_version(request)
        definitions.archive(
            scope=self.scope, actor=self.actor, audience_id=audience, state_version=version, now=timezone.now()
        )
        return Response(status=204)


class AudienceVersions(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(
        tags=["Audiences"],
        operation_id="listAudienceVersions",
        parameters=[AUDIENCE, *PAGING],
        responses=shapes.AudienceVersionPage,
    )
    def get(self, request: Request, audience: str) -> Response:
        """Newest first. A version never changes."""
        found = definitions.find(scope=self.scope, audience_id=audience)
        versions = AudienceVersion.objects.within(self.scope).filter(audience=found)
        return page(versions, request, shapes.version_json, key="number")


class AudienceCampaigns(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(
        tags=["Audiences"],
        operation_id="listAudienceCampaigns",
        parameters=[AUDIENCE],
        responses=shapes.AudienceUsePage,
    )
    def get(self, request: Request, audience: str) -> Response:
        """Which campaigns use it, newest change first; the newest ones where there are very many."""
        found = definitions.find(scope=self.scope, audience_id=audience)
        used = uses.uses_of(self.scope, [found.pk])[found.pk]
        return Response({"items": [shapes.use_json(use) for use in used], "nextCursor": None})


class AudiencePreview(RestView):
    permissions = {"POST": "console.read"}

    @extend_schema(
        tags=["Audiences"],
        operation_id="previewAudience",
        request=shapes.PreviewRequest,
        responses=shapes.PreviewResponse,
    )
    def post(self, request: Request) -> Response:
        """Count a rule without storing anything: whom it matches, whom it can reach, and why not the others."""
        given = validated(shapes.PreviewRequest, request)
        vocabulary = load(self.scope)
        rule = parse(given["rule"], vocabulary, at="#/rule")
        found = preview.count(
            scope=self.scope,
            rule=rule,
            channel=given["channel"],
            now=timezone.now(),
            with_people=self.access.may("people.read"),
        )
        return Response(shapes.preview_json(found, sentence(rule, vocabulary)))


class AudienceExplanation(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["Audiences"],
        operation_id="explainAudience",
        parameters=[
            AUDIENCE,
            OpenApiParameter("person", str, required=True, description="per_…, Lamba's user id, or an email address."),
            OpenApiParameter("snapshot", str, description="snp_…: by what was known when it was taken."),
            OpenApiParameter("version", int, description="Of the audience; the newest by default."),
            OpenApiParameter("channel", str, enum=list(CHANNEL_BITS)),
        ],
        responses=shapes.ExplanationResponse,
    )
    def get(self, request: Request, audience: str) -> Response:
        """Why this person is or is not in: every condition with the value that was seen, and the nearest way in.

        By today's facts, or by those that the named snapshot saw. Also for people whom the rule never matched.
        """
        return Response(explaining.as_json(self._explained(request, audience)))

    def _explained(self, request: Request, audience: str) -> explaining.Explanation:
        found = definitions.find(scope=self.scope, audience_id=audience)
        asked = request.query_params.get("person", "").strip()
        if not asked:
            raise bad_query("person", "Who is meant? The parameter person is missing.", "Add ?person=per_….")
        channel = request.query_params.get("channel", "email")
        if channel not in CHANNEL_BITS:
            raise bad_query("channel", f"{channel!r} is no channel.", f"Use {', '.join(CHANNEL_BITS)}.")
        person = explaining.find_one(scope=self.scope, text=asked[:254])
        then = request.query_params.get("snapshot", "")
        if then:
            taken = snapshot.of_audience(scope=self.scope, public_id=then, audience=found)
            return explaining.explain_then(scope=self.scope, snapshot=taken, person=person)
        return explaining.explain(
            scope=self.scope,
            version=_version(self, found, request.query_params.get("version", "")),
            person=person,
            now=timezone.now(),
            channel=channel,
        )


class AudienceExplanationCsv(AudienceExplanation):
    permissions = {"GET": "people.export"}

    @extend_schema(
        tags=["Audiences"],
        operation_id="explainAudienceCsv",
        parameters=[
            AUDIENCE,
            OpenApiParameter("person", str, required=True, description="per_…, Lamba's user id, or an email address."),
            OpenApiParameter("snapshot", str, description="snp_…: by what was known when it was taken."),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, audience: str) -> HttpResponse:  # type: ignore[override]
        """The same as CSV, a line for each condition. Written to the audit trail."""
        answer = self._explained(request, audience)
        text = explaining.export(scope=self.scope, actor=self.actor, explanation=answer, now=timezone.now())
        return HttpResponse(
            text,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{audience}-explained.csv"'},
        )


class FieldCatalogue(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(tags=["Audiences"], operation_id="listRuleFields", responses=shapes.FieldCatalogueResponse)
    def get(self, request: Request) -> Response:
        """Everything that rules may ask about here: fields, their operators, and the values that they accept."""
        return Response(shapes.catalogue_json(load(self.scope)))


def _answer(view: RestView, audience_id: str, status: int = 200) -> Response:
    found = definitions.with_latest(scope=view.scope).filter(public_id=audience_id).first()
    if found is None:
        raise definitions.unknown(view.scope, audience_id)
    headers = {"ETag": etag(found.state_version)}
    if status == 201:
        headers["Location"] = f"/api/v1/audiences/{audience_id}"
    return Response(shapes.audience_json(found), status=status, headers=headers)


def _version(view: RestView, audience: Audience, asked: str) -> AudienceVersion:
    if not asked:
        return definitions.latest(audience)
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise bad_query("version", f"{asked!r} is no version number.", "Use a number such as 1.")
    rows = AudienceVersion.objects.within(view.scope).filter(audience=audience, number=int(asked))
    found: AudienceVersion | None = rows.first()
    if found is None:
        raise NotFound(f"“{audience.name}” has no version {asked}.", next_step=f"It has 1 to {audience.version}.")
    return found
