"""Console pages of segments: every list with its size, one list with its people."""

from typing import Any

from django.http import HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from audiences import segments
from audiences.forms import MembersForm, SegmentForm, initial_of, take
from audiences.models import Segment
from audiences.views.people import keyset, parts
from lamba_campaigns.lib.errors import Conflict, Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PAGE_MEMBERS = 50


@console_view(get="console.read", post="people.write")
def segment_list(request: ConsoleRequest) -> HttpResponseBase:
    form = SegmentForm(request.POST) if request.method == "POST" else SegmentForm()
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = segments.create(
                scope=request.scope,
                actor=request.actor,
                name=given["name"],
                description=given["description"],
                now=timezone.now(),
            )
            notify(request, "List created. Add people, or import a file with the column segment.")
            return HttpResponseRedirect(url(request.scope, "segment-detail", made.public_id))
        except Conflict as refusal:
            form.add_error("name", refusal.detail)
        except Invalid as refusal:
            take(form, refusal)
    context = {
        "nav": "people",
        "parts": parts(request.scope, request.access, "segments"),
        "segments": segments.every(scope=request.scope),
        "form": form,
    }
    return page(request, "audiences/segment_list.html", context, 422 if form.errors else 200)


@console_view(get="people.read", post="people.write")
def segment_detail(request: ConsoleRequest, segment: str) -> HttpResponseBase:
    found = segments.get(scope=request.scope, public_id=segment)
    if request.method != "POST":
        return _detail(request, found)
    form = SegmentForm(request.POST)
    if not form.is_valid():
        return _detail(request, found, form=form)
    given = form.cleaned_data
    try:
        segments.update(
            scope=request.scope,
            actor=request.actor,
            public_id=segment,
            state_version=given["state_version"] or 0,
            name=given["name"],
            description=given["description"],
            now=timezone.now(),
        )
    except Invalid as refusal:
        form.take(refusal)
        return _detail(request, found, form=form)
    notify(request, "Saved.")
    return HttpResponseRedirect(url(request.scope, "segment-detail", segment))


@console_view(post="people.write")
def segment_members(request: ConsoleRequest, segment: str) -> HttpResponseBase:
    found = segments.get(scope=request.scope, public_id=segment)
    form = MembersForm(request.POST)
    if not form.is_valid():
        return _detail(request, found, members=form)
    who, removes = form.cleaned_data["people"], "remove" in request.POST
    try:
        segments.change_members(
            scope=request.scope,
            actor=request.actor,
            public_id=segment,
            add=() if removes else who,
            remove=who if removes else (),
            now=timezone.now(),
        )
    except Invalid as refusal:
        form.take(refusal)
        return _detail(request, found, members=form)
    notify(request, "Removed from the list." if removes else "Added to the list.")
    return HttpResponseRedirect(url(request.scope, "segment-detail", segment))


def _detail(
    request: ConsoleRequest, segment: Segment, form: SegmentForm | None = None, members: MembersForm | None = None
) -> HttpResponseBase:
    rows, previous, following = keyset(
        segments.members(scope=request.scope, segment=segment).order_by(),
        request,
        size=PAGE_MEMBERS,
        key="person_id",
        newest_first=False,
    )
    counted = segments.count(scope=request.scope, segment=segment)
    context: dict[str, Any] = {
        "nav": "people",
        "segment": segment,
        "people": rows,
        "counted": min(counted, segments.COUNT_MAX),
        "capped": counted > segments.COUNT_MAX,
        "shown": f"{len(rows)} on this page",
        "previous": previous,
        "next": following,
        "form": form or SegmentForm(initial=initial_of(segment)),
        "members": members or MembersForm(),
        "is_list": segment.origin == Segment.Origin.LIST,
    }
    return page(request, "audiences/segment_detail.html", context, 422 if form or members else 200)
