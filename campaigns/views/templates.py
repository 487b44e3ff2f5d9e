"""Console pages of templates: the list, the editor with its live preview, versions side by side."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_GET

from audiences import people
from audiences.models import Person
from campaigns import comparing, opening, previews, promotion, resolving, seeds, templates
from campaigns.forms import TemplateForm
from campaigns.models import Campaign, Part, PartVersion, Template
from campaigns.models.template import Format
from campaigns.templates import Message
from campaigns.views.campaigns import url_of_other, version_of
from delivery.content import locales
from lamba_campaigns.lib.errors import DomainError, Invalid, NotFound
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PAGE_SIZE: Final = 50
FRAME_SECONDS: Final = 900  # how long a rendered preview can be shown
FRAME_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'; base-uri 'none'"
)
STARTER: Final = Message(
    subject='{{ person.given_name | default: "Hello" }}, ',
    preheader="",
    body='# A headline\n\nHi {{ person.given_name | default: "there" }},\n\nWhat you want to say.\n',
)


@require_GET
@console_view(get="console.read")
def template_list(request: ConsoleRequest) -> HttpResponseBase:
    status = "archived" if request.GET.get("status") == "archived" else "active"
    find = request.GET.get("q", "").strip()
    everything = Template.objects.within(request.scope)
    counts = dict(everything.values_list("status").annotate(n=Count("pk")).values_list("status", "n"))
    rows = everything.filter(status=status)
    if find:
        rows = rows.filter(name__icontains=find[:100])
    found = list(rows.order_by("-updated_at", "id")[:PAGE_SIZE])
    base = url(request.scope, "template-list")
    context = {
        "nav": "templates",
        "rows": [(row, _used_by(request, found).get(row.pk, 0)) for row in found] if found else [],
        "tabs": [
            ("Active", base, counts.get("active", 0), status == "active"),
            ("Archived", f"{base}?status=archived", counts.get("archived", 0), status == "archived"),
        ],
        "status": status,
        "q": find,
        "keep": [("status", status if status == "archived" else "")],
        "total": sum(counts.values()),
        "other": url_of_other(request.scope, "template-list"),
        "copies": _copyable(request),
    }
    return page(request, "campaigns/templates.html", context)


@console_view(get="templates.write", post="templates.write")
def template_new(request: ConsoleRequest) -> HttpResponseBase:
    library = resolving.newest(scope=request.scope)
    if request.method != "POST":
        given = {"subject": STARTER.subject, "body": STARTER.body, "name": ""}
        form = TemplateForm(initial=given, layouts=_layouts(library))
        return _editor(request, form, None, STARTER, library)
    form = TemplateForm(request.POST, layouts=_layouts(library))
    message = _message(form)
    if "preview" in request.POST:
        return _result(request, form, message, library)
    if not form.is_valid():
        return _editor(request, form, None, message, library, status=422)
    try:
        made = templates.create(
            scope=request.scope,
            actor=request.actor,
            name=form.cleaned_data["name"],
            message=message,
            publish_it="publish" in request.POST,
            now=timezone.now(),
        )
    except Invalid as refusal:
        form.take(refusal)
        return _editor(request, form, None, message, library, status=422)
    except DomainError as refusal:
        return _editor(request, form, None, message, library, problem=refusal, status=refusal.status)
    notify(request, f"{made.name} v1 is published." if made.latest_number else "Draft saved.")
    return HttpResponseRedirect(url(request.scope, "template-detail", made.public_id))


@console_view(get="console.read", post="templates.write")
def template_detail(request: ConsoleRequest, template: str) -> HttpResponseBase:
    """The editor. Its buttons say what they do: preview, save, publish, archive."""
    opened, library = (
        opening.opened(scope=request.scope, template_id=template),
        resolving.newest(scope=request.scope),
    )
    found, whole = opened.template, opened.message(request.scope)
    if request.method != "POST":
        locale = _locale(request.GET)
        message = whole.in_locale(locale)
        given = {"name": found.name, "locale": locale, "person": request.GET.get("person", "")}
        form = TemplateForm(initial=given | _as_initial(message), layouts=_layouts(library))
        return _editor(request, form, opened, message, library)
    form = TemplateForm(request.POST, layouts=_layouts(library))
    message, locale = _message(form), _locale(request.POST)
    if "preview" in request.POST:
        return _result(request, form, message, library)
    if not form.is_valid():
        return _editor(request, form, opened, message, library, status=422)
    try:
        said = _change(request, form, found, whole.with_locale(locale, None if "drop" in request.POST else message))
    except Invalid as refusal:
        form.take(refusal)
        return _editor(request, form, opened, message, library, status=422)
    except DomainError as refusal:
        return _editor(request, form, opened, message, library, problem=refusal, status=refusal.status)
    notify(request, said)
    if "archive" in request.POST:
        return HttpResponseRedirect(url(request.scope, "template-list"))
    stay = f"?locale={locale}" if locale and "drop" not in request.POST else ""
    return HttpResponseRedirect(url(request.scope, "template-detail", found.public_id) + stay)


@require_GET
@console_view(get="people.read")
def template_frame(request: ConsoleRequest, token: str) -> HttpResponseBase:
    """A rendered preview, for the person and environment that asked for it, under a policy of its own."""
    kept = cache.get(_frame_key(request, token))
    if kept is None:
        raise NotFound("This preview is over.", next_step="Open the template again.")
    answer = HttpResponse(kept)
    answer._csp_exempt = True  # type: ignore[attr-defined]
    answer["Content-Security-Policy"] = FRAME_POLICY
    answer["X-Frame-Options"] = "SAMEORIGIN"
    answer["Cache-Control"] = "no-store"
    answer["Referrer-Policy"] = "no-referrer"
    return answer


@require_GET
@console_view(get="console.read")
def template_version(request: ConsoleRequest, template: str, number: int) -> HttpResponseBase:
    """One version beside the one before it, or beside the one that `with` names."""
    opened = opening.opened(scope=request.scope, template_id=template)
    found, rows = opened.template, {row.number: row for row in opened.versions}
    if number not in rows:
        raise NotFound(f"{found.name} has no version {number}.")
    asked = request.GET.get("with", "")
    other = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else number - 1
    context = {
        "nav": "templates",
        "template": found,
        "version": rows[number],
        "before": rows.get(other),
        "parts": comparing.compare(rows.get(other), rows[number]),
        "versions": list(rows.values()),
        "number_label": str(number),
        "digest": bytes(rows[number].digest).hex(),
        "held": resolving.held(scope=request.scope, version=rows[number]),
    }
    return page(request, "campaigns/version.html", context)


@console_view(post="templates.write")
def template_copy(request: ConsoleRequest) -> HttpResponseBase:
    """Copy a template of the other environment: its words, never a link to it."""
    made = promotion.copy_template(
        scope=request.scope, access=request.access, template_id=request.POST.get("template", ""), now=timezone.now()
    )
    notify(request, f"{made.name} is copied. The copy is not linked.")
    return HttpResponseRedirect(url(request.scope, "template-detail", made.public_id))


def _change(request: ConsoleRequest, form: TemplateForm, found: Template, message: Message) -> str:
    given: dict[str, Any] = {
        "scope": request.scope,
        "actor": request.actor,
        "template_id": found.public_id,
        "version": version_of(request),
        "now": timezone.now(),
    }
    if "archive" in request.POST:
        templates.archive(**given)
        return f"{found.name} is archived."
    if "publish" in request.POST:
        published = templates.publish(message=message, **given)
        return f"v{published.number} is published."
    templates.save_draft(name=form.cleaned_data["name"], message=message, **given)
    return "Draft saved."


def _editor(
    request: ConsoleRequest,
    form: TemplateForm,
    opened: opening.Opened | None,
    message: Message,
    library: Sequence[PartVersion],
    *,
    problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    may_see = request.access.may("people.read")
    template = opened.template if opened else None
    people_known = previews.sample_people(scope=request.scope) if may_see else []
    shown = _preview(request, message, str(form["person"].value() or ""), library, people_known) if may_see else None
    whole = opened.message(request.scope) if opened else message
    context = {
        "nav": "templates",
        "form": form,
        "template": template,
        "message": message,
        **_languages(request, str(form["locale"].value() or ""), template, whole),
        "fields": people.FIELDS,
        "people": people_known,
        "preview": shown,
        "frame_url": keep_frame(request, shown.html) if shown else "",
        "versions": opened.versions[:8] if opened else [],
        "used_by": opened.campaigns if opened else 0,
        "next_number": template.latest_number + 1 if template else 1,
        "next_label": str(template.latest_number + 1 if template else 1),
        "latest_label": str(template.latest_number if template else 0),
        "seed_lists": seeds.lists(scope=request.scope) if template else [],
        "own_address": getattr(request.user, "email", "") if template else "",
        "writes": request.access.may("templates.write") and not (template and template.status == "archived"),
        "problem": problem,
    }
    return page(request, "campaigns/editor.html", context, status=status)


def _languages(request: ConsoleRequest, locale: str, template: Template | None, whole: Message) -> dict[str, Any]:
    """The tabs of the editor: the message itself, its languages, and one that is about to be written."""
    base = url(request.scope, "template-detail", template.public_id) if template else ""
    found = sorted(whole.variants)
    tabs = [("Default", base, None, not locale)]
    tabs += [(each, f"{base}?locale={each}", None, each == locale) for each in found]
    if locale and locale not in found:
        tabs.append((f"{locale}, new", f"{base}?locale={locale}", None, True))
    return {"locale": locale, "languages": found, "language_tabs": tabs}


def _result(
    request: ConsoleRequest, form: TemplateForm, message: Message, library: Sequence[PartVersion]
) -> HttpResponse:
    """The preview beside the text, while somebody types."""
    request.access.require("people.read")
    form.is_valid()
    shown = _preview(request, message, form.data.get("person", ""), library, ())
    context = {
        "preview": shown,
        "frame_url": keep_frame(request, shown.html) if shown else "",
    }
    return page(request, "campaigns/_result.html", context)


def _preview(
    request: ConsoleRequest, message: Message, person: str, library: Sequence[PartVersion], known: Sequence[Person]
) -> previews.Preview:
    given: dict[str, Any] = {"scope": request.scope, "message": message, "library": library, "known": known}
    try:
        return previews.preview(person_id=person or None, **given)
    except Invalid:
        return previews.preview(person_id=None, **given)


def keep_frame(request: HttpRequest, html: str) -> str:
    """The address of the rendered message. Its token opens for this person in this environment only."""
    token = secrets.token_urlsafe(16)
    cache.set(_frame_key(request, token), html, FRAME_SECONDS)
    return url(request.scope, "template-frame", token)  # type: ignore[attr-defined]


def _frame_key(request: HttpRequest, token: str) -> str:
    return f"preview:{request.scope.environment_id}:{request.user.pk}:{token}"  # type: ignore[attr-defined]


def _message(form: TemplateForm) -> Message:
    # browsers send CRLF, JSON does not: one form, so that equal texts have equal digests
    texts: dict[str, Any] = {name: str(form.data.get(name, "")).replace("\r\n", "\n") for name in templates.TEXTS}
    form_of_body = str(form.data.get("format") or Format.MARKDOWN.value)
    return Message(**texts, format=form_of_body, layout=str(form.data.get("layout", "")))


def _locale(given: QueryDict) -> str:
    """The language that is edited; '' for the message itself, and for what is no locale."""
    return locales.normal(given.get("locale", ""))


def _as_initial(message: Message) -> dict[str, str]:
    return {name: getattr(message, name) for name in (*templates.TEXTS, "format", "layout")}


def _layouts(library: Sequence[PartVersion]) -> list[str]:
    return [each.part.name for each in library if each.part.kind == Part.Kind.LAYOUT]


def _used_by(request: ConsoleRequest, rows: list[Template]) -> dict[int, int]:
    found = (
        Campaign.objects.within(request.scope)
        .filter(template_version__template__in=rows)
        .order_by()
        .values_list("template_version__template")
        .annotate(n=Count("pk"))
    )
    return dict(found.values_list("template_version__template", "n"))


def _copyable(request: ConsoleRequest) -> list[Template]:
    return promotion.copyable_templates(scope=request.scope) if request.access.may("templates.write") else []
