"""REST of people: found by index, read with the origin of every fact, erased on request."""

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audiences import facts, people, people_export
from audiences.api import shapes
from lamba_campaigns.web.pagination import page, page_size
from lamba_campaigns.web.rest import RestView

PERSON = OpenApiParameter("person", str, OpenApiParameter.PATH, description="per_…")
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]
Q = OpenApiParameter("q", str, description="An address, Lamba's user id, or our person id.")


class PersonList(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(tags=["People"], operation_id="listPeople", parameters=[Q, *PAGING], responses=shapes.PersonPage)
    def get(self, request: Request) -> Response:
        rows = people.matching(scope=self.scope, text=request.query_params.get("q", ""))
        return page(rows, request, shapes.person_json)


class PeopleCsv(RestView):
    permissions = {"GET": "people.export"}

    @extend_schema(
        tags=["People"], operation_id="exportPeople", parameters=[Q], responses={(200, "text/csv"): OpenApiTypes.STR}
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Everybody, or whom `q` names, in the columns of an import. Every export is in the audit trail."""
        lines = people_export.export(
            scope=self.scope, actor=self.actor, text=request.query_params.get("q", ""), now=timezone.now()
        )
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="people.csv"'},
        )


class PersonDetail(RestView):
    permissions = {"GET": "people.read", "DELETE": "people.erase"}

    @extend_schema(
        tags=["People"], operation_id="readPerson", parameters=[PERSON], responses=shapes.PersonDetailResponse
    )
    def get(self, request: Request, person: str) -> Response:
        found = people.get(scope=self.scope, public_id=person)
        return Response(shapes.profile_json(people.profile(scope=self.scope, person=found)))

    @extend_schema(tags=["People"], operation_id="erasePerson", parameters=[PERSON], responses={204: None})
    def delete(self, request: Request, person: str) -> Response:
        """Nothing personal is left but the user id and what forbids contact. It can't be undone."""
        people.erase(scope=self.scope, actor=self.actor, public_id=person, now=timezone.now())
        return Response(status=204)


class PersonHistory(RestView):
    permissions = {"GET": "people.read"}

    @extend_schema(
        tags=["People"],
        operation_id="readPersonHistory",
        parameters=[PERSON, OpenApiParameter("limit", int)],
        responses=shapes.FactPage,
    )
    def get(self, request: Request, person: str) -> Response:
        """Everything that was ever told, newest first."""
        found = people.get(scope=self.scope, public_id=person)
        known = facts.history_of_person(scope=self.scope, person_id=found.pk, limit=page_size(request))
        return Response({"items": [shapes.fact_json(each) for each in known], "nextCursor": None})
