"""REST of campaigns: drafts, preflight, and the moves of their life. Every change names the version it read."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import books, books_statements, drafts, freezing, launch, preflight, recipients, schedule
from campaigns.api import serializers as shapes
from campaigns.models import Campaign, State
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from lamba_campaigns.web import pagination
from lamba_campaigns.web.idempotency import idempotent
from lamba_campaigns.web.rest import RestView, etag, expected_version, validated

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="The etag that you read."
)
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key gets the same answer for 24 hours."
)
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]
CSV = {(200, "text/csv"): str}


class CampaignList(RestView):
    permissions = {"GET": "console.read", "POST": "campaigns.write"}

    @extend_schema(
        operation_id="campaigns_list",
        parameters=[*PAGES, OpenApiParameter("state", str, enum=State.values)],
        responses=shapes.CampaignPage,
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        found = Campaign.objects.within(self.scope).select_related(
            "template_version__template", "audience", "audience_version", "snapshot", "job"
        )
        state = request.query_params.get("state")
        if state is not None:
            if state not in State.values:
                raise pagination.bad_query("state", f"{state!r} is no state.", f"Use one of {', '.join(State.values)}.")
            found = found.filter(state=state)
        return pagination.page(found, request, lambda row: shapes.CampaignRead(row).data)

    @extend_schema(
        operation_id="campaigns_create",
        parameters=[IDEMPOTENCY],
        request=shapes.CampaignBody,
        responses={201: shapes.CampaignDetail},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A new draft."""
        values = validated(shapes.CampaignBody, request)
        _require_overage(self, values)
        made = drafts.create(scope=self.scope, actor=self.actor, setup=drafts.Setup(**values), now=timezone.now())
        return _answer(self, made, 201)


class CampaignItem(RestView):
    permissions = {"GET": "console.read", "PATCH": "campaigns.write", "DELETE": "campaigns.write"}

    @extend_schema(operation_id="campaigns_read", responses=shapes.CampaignDetail)
    def get(self, request: Request, campaign: str) -> Response:
        """The campaign, with live counters once it sends."""
        return _answer(self, drafts.find(scope=self.scope, campaign_id=campaign))

    @extend_schema(
        operation_id="campaigns_edit",
        parameters=[IF_MATCH],
        request=shapes.CampaignPatch,
        responses=shapes.CampaignDetail,
    )
    def patch(self, request: Request, campaign: str) -> Response:
        """Change a draft."""
        version = expected_version(request)
        changes = validated(shapes.CampaignPatch, request)
        _require_overage(self, changes)
        edited = drafts.edit(
            scope=self.scope,
            actor=self.actor,
            campaign_id=campaign,
            changes=changes,
            version=version,
            now=timezone.now(),
        )
        return _answer(self, edited)

    @extend_schema(operation_id="campaigns_delete", parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, campaign: str) -> Response:
        """Forget a draft."""
        version = expected_version(request)
        drafts.delete(scope=self.scope, actor=self.actor, campaign_id=campaign, version=version, now=timezone.now())
        return Response(status=204)


class CampaignCopy(RestView):
    permissions = {"POST": "campaigns.write"}

    @extend_schema(
        operation_id="campaigns_copy",
        parameters=[IDEMPOTENCY],
        request=shapes.NothingBody,
        responses={201: shapes.CampaignDetail},
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """A new draft with the same setup."""
        validated(shapes.NothingBody, request)
        made = drafts.copy(scope=self.scope, actor=self.actor, campaign_id=campaign, now=timezone.now())
        return _answer(self, made, 201)


class CampaignPreflight(RestView):
    permissions = {"GET": "console.read", "POST": "console.read"}

    @extend_schema(operation_id="campaigns_preflight", responses=shapes.PreflightRead)
    def get(self, request: Request, campaign: str) -> Response:
        """Every check as data, whatever it says."""
        return Response(self._report(campaign).as_json())

    @extend_schema(
        operation_id="campaigns_preflight_check", request=shapes.PreflightBody, responses=shapes.PreflightRead
    )
    def post(self, request: Request, campaign: str) -> Response:
        """The same, but refused exactly as the step would be now: 402 over a limit, 409 in a state that has no such
        move, 422 when something is missing.
        """
        action = validated(shapes.PreflightBody, request).get("action")
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        report = preflight.rehearse(scope=self.scope, campaign=found, action=action, now=timezone.now())
        return Response(report.as_json())

    def _report(self, campaign: str) -> preflight.Report:
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        now = timezone.now()
        return preflight.report(
            scope=self.scope,
            campaign=found,
            at=preflight.sends_at(found, now),
            now=now,
            holds_counts=found.state == State.SCHEDULED,
        )


class CampaignLaunch(RestView):
    permissions = {"POST": "campaigns.launch"}

    @extend_schema(
        operation_id="campaigns_launch",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.NothingBody,
        responses={202: shapes.CampaignDetail},
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Launch a draft now. 202: the audience is being frozen; follow the campaign at Location. 402 over a limit."""
        version = expected_version(request)
        validated(shapes.NothingBody, request)
        launched = launch.request_launch(
            scope=self.scope, actor=self.actor, campaign_id=campaign, version=version, now=timezone.now()
        )
        return _answer(self, launched, 202, Location=f"/api/v1/campaigns/{launched.public_id}")


class CampaignSchedule(RestView):
    permissions = {"POST": "campaigns.launch"}

    @extend_schema(
        operation_id="campaigns_schedule",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.ScheduleBody,
        responses=shapes.CampaignDetail,
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Launch a draft later. Everything is checked now and again at that moment."""
        version = expected_version(request)
        values = validated(shapes.ScheduleBody, request)
        zone = values.get("time_zone") or self.scope.time_zone
        scheduled = launch.request_schedule(
            scope=self.scope,
            actor=self.actor,
            campaign_id=campaign,
            at=_moment(values["at"], zone, values.get("fold")),
            time_zone=zone,
            version=version,
            now=timezone.now(),
        )
        return _answer(self, scheduled)


class _Move(RestView):
    """One of the moves that take nothing but a version, and a reason where somebody may ask for one."""

    permissions = {"POST": "campaigns.launch"}

    def _moved(self, request: Request, campaign: str, step: Callable[..., Campaign], *, reason: bool) -> Response:
        version = expected_version(request)
        given = validated(shapes.ReasonBody if reason else shapes.NothingBody, request)
        moved = step(
            scope=self.scope, actor=self.actor, campaign_id=campaign, version=version, now=timezone.now(), **given
        )
        return _answer(self, moved)


class CampaignUnschedule(_Move):
    @extend_schema(
        operation_id="campaigns_unschedule",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.NothingBody,
        responses=shapes.CampaignDetail,
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Back to a draft."""
        return self._moved(request, campaign, launch.unschedule, reason=False)


class CampaignPause(_Move):
    @extend_schema(
        operation_id="campaigns_pause",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.ReasonBody,
        responses=shapes.CampaignDetail,
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Stop starting batches; what is on the wire drains."""
        return self._moved(request, campaign, launch.pause, reason=True)


class CampaignResume(_Move):
    @extend_schema(
        operation_id="campaigns_resume",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.NothingBody,
        responses=shapes.CampaignDetail,
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Go on with whoever was not contacted yet."""
        return self._moved(request, campaign, launch.resume, reason=False)


class CampaignCancel(_Move):
    @extend_schema(
        operation_id="campaigns_cancel",
        parameters=[IF_MATCH, IDEMPOTENCY],
        request=shapes.ReasonBody,
        responses=shapes.CampaignDetail,
    )
    @idempotent
    def post(self, request: Request, campaign: str) -> Response:
        """Contact nobody else."""
        return self._moved(request, campaign, launch.cancel, reason=True)


class CampaignBooks(RestView):
    permissions = {"GET": "console.read"}

    @extend_schema(operation_id="campaigns_books", responses=shapes.BooksRead)
    def get(self, request: Request, campaign: str) -> Response:
        """The balance of every message, closed or as it stands. 409 before sending began."""
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        return Response(books.statement(scope=self.scope, campaign=found))


class CampaignBooksCsv(RestView):
    permissions = {"GET": "people.export"}

    @extend_schema(operation_id="campaigns_books_csv", responses=CSV)
    def get(self, request: Request, campaign: str) -> HttpResponseBase:
        """The same as CSV."""
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        return books_statements.download(
            scope=self.scope, actor=self.actor, campaign=found, kind="csv", now=timezone.now()
        )


class CampaignRecipients(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        operation_id="campaigns_recipients",
        parameters=[*PAGES, OpenApiParameter("outcome", str, enum=list(recipients.OUTCOMES))],
        responses=shapes.RecipientPage,
    )
    def get(self, request: Request, campaign: str) -> Response:
        """Everybody included, with what became of their message; `outcome=excluded` lists who was left out, and why."""
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        page = recipients.page(
            scope=self.scope,
            campaign=found,
            outcome=request.query_params.get("outcome", ""),
            after=pagination.cursor_number(request),
            size=pagination.page_size(request),
        )
        items = [shapes.RecipientRead(recipients.as_json(row, found)).data for row in page.rows]
        return Response({"items": items, "nextCursor": pagination.encode_cursor(page.next_after)})


class CampaignRecipientsCsv(RestView):
    permissions = {"GET": "people.export"}

    @extend_schema(
        operation_id="campaigns_recipients_csv",
        parameters=[OpenApiParameter("outcome", str, enum=list(recipients.OUTCOMES))],
        responses=CSV,
    )
    def get(self, request: Request, campaign: str) -> HttpResponseBase:
        """The same as CSV, streamed. Every export is audited."""
        found = drafts.find(scope=self.scope, campaign_id=campaign)
        return recipients.csv_response(
            scope=self.scope,
            actor=self.actor,
            campaign=found,
            outcome=request.query_params.get("outcome", ""),
            now=timezone.now(),
        )


def _answer(view: RestView, campaign: Campaign, status: int = 200, **headers: str) -> Response:
    body: dict[str, Any] = dict(shapes.CampaignRead(campaign).data)
    body["balance"] = books.live_balance(scope=view.scope, campaign=campaign)
    found = freezing.of(scope=view.scope, campaign=campaign)
    body["freezing"] = {"phase": found.phase, "written": found.written, "expected": found.expected} if found else None
    return Response(body, status, headers={"ETag": etag(campaign.state_version), **headers})


def _require_overage(view: RestView, values: dict[str, Any]) -> None:
    if values.get("accept_overage"):
        view.access.require("billing.manage")


def _moment(text: str, zone: str, fold: int | None) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        detail = f"{text!r} is no time. Use 2026-11-24T09:30:00 with timeZone, or with an offset."
        raise Invalid(detail, problems=(FieldProblem("#/at", "invalid", detail),)) from None
    if given.tzinfo is not None:
        schedule.require_zone(zone)
        return given
    return schedule.moment_of(wall=given, zone_name=zone, fold=fold)
