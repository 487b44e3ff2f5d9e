"""The project picker, a person's own preferences, and the settings of a project: itself, its members, its keys."""

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from lamba_campaigns.web.console import page, preference_of
from lamba_campaigns.web.pages import safe_next
from projects.forms import PreferenceForm
from projects.models import Preference, Project


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Every project of the person, with a door to each environment. Nothing is remembered, so nothing is mixed up."""
    assert isinstance(request.user, User)
    projects = (
        Project.objects.select_related("workspace")
        .filter(workspace__members__user_id=request.user.pk)
        .order_by("workspace__name", "name")
    )
    return page(request, "projects/home.html", {"projects": projects})


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """What one person chose for the console, on every device."""
    assert isinstance(request.user, User)
    back = safe_next(request, request.POST.get("next") or request.GET.get("next", ""))
    form = PreferenceForm(request.POST or None, instance=preference_of(request))
    if request.method != "POST":
        return page(request, "projects/preferences.html", {"form": form, "next": back})
    if not form.is_valid():
        return page(request, "projects/preferences.html", {"form": form, "next": back}, status=422)
    Preference.objects.update_or_create(user=request.user, defaults=form.cleaned_data)
    messages.success(request, "Preferences saved.")
    return redirect(f"{request.path}?next={back}") if back != "/" else HttpResponseRedirect(request.path)
