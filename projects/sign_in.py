"""Signing in: slow to guess (rates by address and name), told the same whatever was wrong, written down either way."""

import hashlib

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from audit import chain
from audit.chain import Subject
from lamba_campaigns.lib import sql
from lamba_campaigns.web.console import page
from lamba_campaigns.web.pages import safe_next
from lamba_campaigns.web.rate import TooManyRequests, require_rate
from lamba_campaigns.web.requests import client_ip, trace_id
from projects.forms import SignInForm
from projects.scoping import Actor

WRONG = "That name and password do not belong together."


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page. An open redirect is impossible: `next` must stay on this site."""
    after = safe_next(request, request.POST.get("next") or request.GET.get("next", ""))
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(after)
        return _show(request, SignInForm(), after)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _show(request, form, after, status=422)
    try:
        user = _checked(request, form.cleaned_data["username"], form.cleaned_data["password"])
    except TooManyRequests as error:
        form.add_error(None, f"Too many attempts. {error.next_step}")
        return _show(request, form, after, status=429, retry=error.extra.get("retryAfter"))
    if user is None:
        form.add_error(None, WRONG)
        return _show(request, form, after, status=422)
    login(request, user)
    _write_down(request, "sign_in.succeeded", _actor(request, user), str(user.get_username()))
    return HttpResponseRedirect(after)


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session; written down when there was one."""
    if isinstance(request.user, User):
        _write_down(request, "signed_out", _actor(request, request.user), request.user.get_username())
    logout(request)
    return HttpResponseRedirect(settings.LOGIN_URL if settings.LOGIN_URL.startswith("/") else "/sign-in")


def _checked(request: HttpRequest, name: str, password: str) -> User | None:
    """The person, or None. The rate counts before the password is looked at, so guessing gets slower either way."""
    address = client_ip(request)
    for rate in settings.SIGN_IN_ATTEMPTS:
        require_rate("sign-in", address, _fingerprint(name), rate=rate)
    user = authenticate(request, username=name, password=password)
    if user is None:
        stranger = Actor("user", "unknown", "Somebody", "console", ip=address, trace_id=trace_id(request))
        _write_down(request, "sign_in.failed", stranger, name[:150], outcome="refused")
    return user


def _actor(request: HttpRequest, user: User) -> Actor:
    label = user.get_full_name() or user.get_username()
    return Actor("user", f"usr_{user.pk}", label, "console", ip=client_ip(request), trace_id=trace_id(request))


def _write_down(request: HttpRequest, action: str, actor: Actor, name: str, *, outcome: str = "done") -> None:
    """On the platform's own chain: a sign-in belongs to no workspace."""
    subject = Subject("user", actor.id, name)
    with sql.durable():
        chain.record(
            scope=None,
            actor=actor,
            action=action,
            subject=subject,
            now=timezone.now(),
            outcome="done" if outcome == "done" else "refused",
        )


def _fingerprint(name: str) -> str:
    return hashlib.sha256(name.strip().lower().encode()).hexdigest()[:16]


def _show(
    request: HttpRequest, form: SignInForm, after: str, *, status: int = 200, retry: object = None
) -> HttpResponse:
    response = page(request, "projects/sign_in.html", {"form": form, "next": after}, status=status)
    if retry is not None:
        response["Retry-After"] = str(retry)
    return response
