"""Pages that belong to no app: find, theme, health, and what each refusal means."""

from dataclasses import dataclass

from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST, require_safe

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web import navigation
from lamba_campaigns.web.console import THEMES, ConsoleRequest, console_view, page

THEME_AGE_SECONDS = 365 * 86_400
FIND_TEXT_MAX = 100


@console_view(get="console.read")
def find(request: ConsoleRequest) -> HttpResponse:
    """The find box: a list for htmx, a page of its own without scripts."""
    text = request.GET.get("q", "")[:FIND_TEXT_MAX]
    context = {"text": text, "hits": navigation.search(request.access, text)}
    return page(request, "components/_hits.html" if request.htmx else "components/find.html", context)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme in a cookie, so that the server renders it and nothing flashes."""
    response = HttpResponseRedirect(safe_next(request, request.POST.get("next", "")))
    wanted = request.POST.get("theme", "")
    if wanted in THEMES:
        response.set_cookie(
            "theme", wanted, max_age=THEME_AGE_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure()
        )
    else:
        response.delete_cookie("theme")
    return response


def safe_next(request: HttpRequest, address: str) -> str:
    """`address` if it stays on this site, else the front page."""
    ours = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if ours else "/"


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 while this process reaches its database, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """One kind of refusal, as its page shows it."""

    slug: str
    code: str
    status: int
    title: str
    text: str


@require_GET
def refusal(request: HttpRequest, code: str) -> HttpResponse:
    """The page that `type` of a problem document points to."""
    known = {meaning.slug: meaning for meaning in map(_meaning, _kinds(DomainError))}
    if code not in known:
        raise Http404
    everything = sorted(known.values(), key=lambda meaning: (meaning.status, meaning.code))
    return page(request, "errors/meaning.html", {"meaning": known[code], "everything": everything})


def _kinds(base: type[DomainError]) -> list[type[DomainError]]:
    return [found for kind in base.__subclasses__() for found in [kind, *_kinds(kind)]]


def _meaning(kind: type[DomainError]) -> Meaning:
    own = " ".join((kind.__dict__.get("__doc__") or "").split())
    return Meaning(kind.code.lower().replace("_", "-"), kind.code, kind.status, kind.title, own)
