"""What every console view shares: the scope comes from the address, a refusal is a page, a page is one template."""

import json
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import render, resolve_url
from django.utils import timezone

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web import navigation
from lamba_campaigns.web.requests import client_ip, note_environment, trace_id
from projects import access as projects_access
from projects.access import Access
from projects.models import Environment, Preference
from projects.roles import Permission
from projects.scoping import Actor, Scope

THEMES = ("light", "dark")
PROJECTS_SHOWN_MAX = 50

url = navigation.url_of


class ConsoleRequest(HttpRequest):
    """What a view under `@console_view` gets."""

    access: Access
    scope: Scope
    actor: Actor
    htmx: Any
    meter: navigation.Meter  # a page that reads the limits itself sets it: the frame asks no second time


View = Callable[..., HttpResponseBase]


def console_view(*, get: Permission | None = None, post: Permission | None = None) -> Callable[[View], View]:
    """Resolve the scope of the address and check the permission of the method.

    `console_view(get="console.read", post="campaigns.write")`. The parts workspace, project and environment are
    consumed; the view gets the rest. A stranger gets 404, a wrong role 403, a method without a permission 405.
    """
    needs: dict[str, Permission] = {}
    if get is not None:
        needs |= {"GET": get, "HEAD": get}
    if post is not None:
        needs |= {"POST": post}

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(
            request: HttpRequest, *args: Any, workspace: str, project: str, environment: str, **kwargs: Any
        ) -> HttpResponseBase:
            granted = open_scope(request, workspace=workspace, project=project, environment=environment)
            if request.method not in needs:
                return HttpResponseNotAllowed(sorted(needs))
            granted.require(needs[request.method])
            with timezone.override(zone_of(request)):
                return view(request, *args, **kwargs)

        wrapper.console_needs = needs  # type: ignore[attr-defined]
        return wrapper

    return decorate


def open_scope(request: HttpRequest, *, workspace: str, project: str, environment: str) -> Access:
    """Access of the signed-in person to the environment; it stays on the request. NotFound for a stranger."""
    assert isinstance(request.user, User), "LoginRequiredMiddleware lets nobody else get here"
    granted = projects_access.for_user(
        user=request.user,
        workspace=workspace,
        project=project,
        environment=environment,
        ip=client_ip(request),
        trace_id=trace_id(request),
    )
    request.access, request.scope, request.actor = granted, granted.scope, granted.actor  # type: ignore[attr-defined]
    note_environment(granted.scope.path)
    return granted


def page(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Render a template. For htmx the view names the fragment (`campaigns/_rows.html`) with the same context."""
    return render(request, template, dict(context or {}), status=status)


def notify(request: HttpRequest, text: str) -> None:
    """Say what was done, once: as a toast on this page or on the one that a redirect leads to."""
    messages.success(request, text)


def preference_of(request: HttpRequest) -> Preference:
    """What the signed-in person chose for themselves; defaults for everybody else."""
    found: Preference | None = getattr(getattr(request, "user", None), "preference", None)
    return found or Preference()


def zone_of(request: HttpRequest) -> ZoneInfo:
    """The zone that times are shown in: the person's own choice, else the project's."""
    chosen = preference_of(request).time_zone
    scope: Scope | None = getattr(request, "scope", None)
    return ZoneInfo(chosen or (scope.time_zone if scope else "UTC"))


class Frame:
    """The frame around a page, asked for by base.html only, so that a fragment costs nothing of it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._access: Access | None = getattr(request, "access", None)

    @cached_property
    def menu(self) -> list[tuple[str, list[navigation.Entry]]]:
        return navigation.menu(self._access) if self._access else []

    @cached_property
    def meter(self) -> navigation.Meter | None:
        """What the page has read already (`request.meter`), else what the provider answers."""
        read: navigation.Meter | None = getattr(self._request, "meter", None)
        return read or (navigation.meter(self._access.scope) if self._access else None)

    @cached_property
    def home(self) -> str:
        return navigation.first_page(self._access.scope) if self._access else "/"

    @cached_property
    def keyboard(self) -> bool:
        return preference_of(self._request).keyboard

    @cached_property
    def zone(self) -> str:
        return str(zone_of(self._request))

    @cached_property
    def environments(self) -> list[tuple[str, str, bool]]:
        """(name, address, is this one): the same page of the menu in each environment."""
        if self._access is None:
            return []
        scope, match = self._access.scope, self._request.resolver_match
        names = {entry.item.url_name for _, entries in self.menu for entry in entries}
        here = match.url_name if match and match.url_name in names else None
        found = []
        for name in ("production", "sandbox"):
            address = navigation.first_page(scope).replace(f"/{scope.path}/", f"/{_path_in(scope, name)}/", 1)
            if here:
                address = url(scope, here).replace(f"/{scope.path}/", f"/{_path_in(scope, name)}/", 1)
            found.append((name, address, name == scope.environment))
        return found

    @cached_property
    def projects(self) -> list[Environment]:
        """Every project the person may open, by its environment of the same name as this one."""
        user = self._request.user
        if self._access is None or not isinstance(user, User):
            return []
        environment = self._access.scope.environment
        return list(
            Environment.objects.select_related("project__workspace")
            .filter(project__workspace__members__user=user, name=environment)
            .order_by("project__workspace__name", "project__name")[:PROJECTS_SHOWN_MAX]
        )


def _path_in(scope: Scope, environment: str) -> str:
    return f"{scope.workspace_slug}/{scope.project_slug}/{environment}"


def console_context(request: HttpRequest) -> dict[str, Any]:
    """For every template: `scope`, `access`, `theme`, and `frame` for base.html."""
    theme = request.COOKIES.get("theme", "")
    return {
        "scope": getattr(request, "scope", None),
        "access": getattr(request, "access", None),
        "theme": theme if theme in THEMES else "auto",
        "frame": Frame(request),
    }


class DomainErrorMiddleware:
    """Shows a DomainError as a page, or to htmx as a panel in the problem dialog; carries toasts to htmx."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if getattr(request, "htmx", False):
            _sign_in_first(request, response)
            _carry_toasts(request, response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError) or request.path.startswith("/api/"):
            return None
        return problem_page(request, error)


def problem_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A refusal as a whole page, or as a panel when htmx asked. The status is the refusal's."""
    layout = "base.html" if getattr(request, "scope", None) else "plain.html"
    context = {"problem": error, "trace": trace_id(request), "layout": layout}
    if getattr(request, "htmx", False):
        response = render(request, "components/problem.html", context, status=error.status)
        response["HX-Retarget"], response["HX-Reswap"] = "#problem-body", "innerHTML"
        response["HX-Trigger-After-Swap"] = "problem"
    else:
        response = render(request, "errors/problem.html", context, status=error.status)
    if "retryAfter" in error.extra:
        response["Retry-After"] = str(error.extra["retryAfter"])
    return response


def _sign_in_first(request: HttpRequest, response: HttpResponseBase) -> None:
    """A fragment asked for by a signed-out tab: send the whole tab to the sign-in page, not its form into a card."""
    sign_in = resolve_url(settings.LOGIN_URL)
    if response.status_code == 302 and response.get("Location", "").startswith(sign_in):
        current = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
        del response["Location"]
        response.status_code = 204
        response["HX-Redirect"] = f"{sign_in}?{urlencode({'next': current})}"


def _carry_toasts(request: HttpRequest, response: HttpResponseBase) -> None:
    stays = response.status_code in (200, 204) and not response.has_header("HX-Redirect")
    if stays and not response.has_header("HX-Trigger"):
        texts = [str(message) for message in messages.get_messages(request)]
        if texts:
            response["HX-Trigger"] = json.dumps({"toast": {"texts": texts}})
