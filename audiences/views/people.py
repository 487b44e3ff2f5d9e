"""Console pages of people: found by address or user id, each with everything known and where it came from."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.utils import timezone

from audiences import facts, people, people_export
from audiences.channels import CHANNEL_BITS
from audiences.models.facts import Membership
from audit import timeline
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from projects.access import Access
from projects.scoping import Scope

PAGE_PEOPLE = 50
ERASE_WORD = "erase"
CHANNEL_NAMES = {"email": "Email", "in_app": "In-app", "sms": "SMS", "webhook": "Webhook"}


@console_view(get="people.read")
def people_list(request: ConsoleRequest) -> HttpResponseBase:
    text = request.GET.get("q", "").strip()
    rows = people.matching(scope=request.scope, text=text).select_related("facts")
    listed, previous, following = keyset(rows, request, size=PAGE_PEOPLE)
    context = {
        "nav": "people",
        "parts": parts(request.scope, request.access, "people"),
        "people": [(person, Membership(person.facts.membership).name.lower()) for person in listed],
        "q": text,
        "previous": previous,
        "next": following,
        "shown": f"{len(listed)} on this page" if previous or following else f"{len(listed):,} in all",
    }
    return page(request, "audiences/people_list.html", context)


@console_view(get="people.export")
def people_csv(request: ConsoleRequest) -> HttpResponseBase:
    lines = people_export.export(
        scope=request.scope, actor=request.actor, text=request.GET.get("q", ""), now=timezone.now()
    )
    scope = request.scope
    name = f"{scope.workspace_slug}-{scope.project_slug}-{scope.environment}-people.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


@console_view(get="people.read")
def person_detail(request: ConsoleRequest, person: str) -> HttpResponseBase:
    return _detail(request, person)


@console_view(post="people.erase")
def person_erase(request: ConsoleRequest, person: str) -> HttpResponseBase:
    if request.POST.get("confirm") != ERASE_WORD:
        return _detail(request, person, erase_error=f"Type {ERASE_WORD} to confirm.", status=422)
    people.erase(scope=request.scope, actor=request.actor, public_id=person, now=timezone.now())
    notify(request, "Erased.")
    return HttpResponseRedirect(url(request.scope, "person-detail", person))


def parts(scope: Scope, access: Access, current: str) -> list[tuple[str, str, None, bool]]:
    """The three kinds of page under People, as tabs; only those that the caller may open."""
    known = [
        ("people", "People", "people-list", "people.read"),
        ("segments", "Segments", "segment-list", "console.read"),
    ]
    known.append(("imports", "Imports", "import-list", "people.write"))
    known.append(("backfill", "From Lamba", "backfill-list", "people.write"))
    return [
        (label, url(scope, name), None, key == current)
        for key, label, name, needs in known
        if needs in access.permissions
    ]


def keyset(
    rows: QuerySet[Any], request: HttpRequest, *, size: int, key: str = "id", newest_first: bool = True
) -> tuple[list[Any], str, str]:
    """One page by key, with the query strings of the pages before and after it, or empty texts."""
    before, after = _number(request, "before"), _number(request, "after")
    down, up = (f"-{key}", key) if newest_first else (key, f"-{key}")
    beyond, back = ("lt", "gt") if newest_first else ("gt", "lt")
    if before is not None:
        found = list(rows.filter(**{f"{key}__{back}": before}).order_by(up)[: size + 1])
        more_before, more_after = len(found) > size, True
        found = found[:size][::-1]
    else:
        if after is not None:
            rows = rows.filter(**{f"{key}__{beyond}": after})
        found = list(rows.order_by(down)[: size + 1])
        more_before, more_after = after is not None, len(found) > size
        found = found[:size]
    if not found:
        return [], "", ""
    first, last = getattr(found[0], key), getattr(found[-1], key)
    return (
        found,
        _query(request, before=first) if more_before else "",
        _query(request, after=last) if more_after else "",
    )


def _query(request: HttpRequest, **cursor: int) -> str:
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    query.update({name: str(value) for name, value in cursor.items()})
    return f"?{query.urlencode()}"


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _detail(request: ConsoleRequest, person: str, erase_error: str = "", status: int = 200) -> HttpResponseBase:
    found = people.get(scope=request.scope, public_id=person)
    profile = people.profile(scope=request.scope, person=found)
    history = facts.history_of_person(scope=request.scope, person_id=found.pk, limit=people.HISTORY_SHOWN_MAX)
    context = {
        "nav": "people",
        "person": found,
        "profile": profile,
        "channels": [_channel(profile, channel) for channel in CHANNEL_BITS],
        "history": history,
        "history_full": len(history) < people.HISTORY_SHOWN_MAX,
        "entries": timeline.for_subject(request.scope, "person", found.public_id),
        "erase_word": ERASE_WORD,
        "erase_error": erase_error,
    }
    return page(request, "audiences/person_detail.html", context, status)


def _channel(profile: people.Profile, channel: str) -> dict[str, Any]:
    """What stands between this person and a message by one channel, in one word."""
    if profile.suppressed[channel]:
        tone, word = "bad", "Suppressed"
    elif profile.unsubscribed[channel]:
        tone, word = "neutral", "Unsubscribed"
    elif profile.consent[channel]:
        tone, word = "ok", "Consent given"
    else:
        tone, word = "neutral", "No consent"
    return {"name": CHANNEL_NAMES[channel], "tone": tone, "word": word}
