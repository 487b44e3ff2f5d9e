"""The project picker, a person's own preferences, and the settings of a project: itself, its members, its keys."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from audit import refusals
from audit.chain import Subject
from lamba_campaigns.lib.errors import DomainError, Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, preference_of, url
from lamba_campaigns.web.pages import safe_next
from projects import keys as api_keys
from projects import members as membership
from projects import profile
from projects.forms import AllowListForm, KeyForm, MemberForm, PreferenceForm, ProjectForm, RoleForm, SenderForm
from projects.models import Preference, Project
from projects.roles import PERMISSION_GROUPS, ROLE_WORDS


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
    if request.method == "POST" and form.is_valid():
        Preference.objects.update_or_create(user=request.user, defaults=form.cleaned_data)
        notify(request, "Preferences saved.")
        return redirect(f"{request.path}?{urlencode({'next': back})}")
    return page(request, "projects/preferences.html", {"form": form, "next": back}, status=_status(request))


# --- settings -------------------------------------------------------------------------------------------------------
@console_view(get="console.read", post="settings.manage")
def settings(request: ConsoleRequest) -> HttpResponse:
    """The settings page; a POST renames the project."""
    form = ProjectForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        given = form.cleaned_data
        profile.rename(
            scope=request.scope,
            actor=request.actor,
            name=given["name"],
            time_zone=given["time_zone"],
            now=timezone.now(),
        )
        return _saved(request, "Project saved.")
    return _settings_page(request, project_form=form)


@console_view(post="settings.manage")
def sender(request: ConsoleRequest) -> HttpResponse:
    form = SenderForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, sender_form=form)
    given = form.cleaned_data
    profile.set_sender(
        scope=request.scope,
        actor=request.actor,
        name=given["sender_name"],
        address=given["sender_address"],
        now=timezone.now(),
    )
    return _saved(request, "Sender saved.")


@console_view(post="settings.manage")
def allow_list(request: ConsoleRequest) -> HttpResponse:
    form = AllowListForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, allow_form=form)
    addresses = form.cleaned_data["addresses"]
    profile.set_allow_list(scope=request.scope, actor=request.actor, addresses=addresses, now=timezone.now())
    return _saved(request, "Allow list saved.")


def _settings_page(request: ConsoleRequest, **forms: Any) -> HttpResponse:
    found = profile.profile(scope=request.scope)
    row = found.environment
    context = {
        "nav": "settings",
        "project": found.project,
        "environment": row,
        "project_form": forms.get("project_form") or ProjectForm(instance=found.project),
        "sender_form": forms.get("sender_form") or SenderForm(instance=row),
        "allow_form": forms.get("allow_form") or AllowListForm({"addresses": "\n".join(row.sandbox_allow_list)}),
    }
    return page(request, "projects/settings.html", context, status=_status(request))


def _saved(request: ConsoleRequest, text: str, name: str = "settings") -> HttpResponse:
    notify(request, text)
    return redirect(url(request.scope, name))


# --- members --------------------------------------------------------------------------------------------------------
@console_view(get="console.read", post="members.manage")
def members(request: ConsoleRequest) -> HttpResponse:
    """Who belongs to the workspace; a POST adds a person by e-mail address."""
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        subject = Subject("member", "new", given["email"])
        try:
            with _refusals(request, "member.added", subject):
                membership.add(
                    scope=request.scope,
                    actor=request.actor,
                    email=given["email"],
                    role=given["role"],
                    now=timezone.now(),
                )
        except DomainError as error:
            form.add_error("email" if isinstance(error, Invalid) else None, f"{error.detail} {error.next_step}")
            return _members_page(request, form, status=error.status)
        return _saved(request, f"{given['email']} added.", "settings-members")
    return _members_page(request, form, status=_status(request))


@console_view(post="members.manage")
def member_role(request: ConsoleRequest, user: str) -> HttpResponse:
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise Invalid("That is no role.", next_step="Pick one from the list.")
    with _refusals(request, "member.changed", Subject("member", user)):
        member = membership.change_role(
            scope=request.scope, actor=request.actor, user=user, role=form.cleaned_data["role"], now=timezone.now()
        )
    name = member.user.get_full_name() or member.user.email
    return _saved(request, f"{name} is {member.role} now.", "settings-members")


@console_view(post="members.manage")
def member_remove(request: ConsoleRequest, user: str) -> HttpResponse:
    with _refusals(request, "member.removed", Subject("member", user)):
        membership.remove(scope=request.scope, actor=request.actor, user=user, now=timezone.now())
    if user == request.actor.id:
        return redirect("home")
    return _saved(request, "Member removed.", "settings-members")


def _members_page(request: ConsoleRequest, form: MemberForm, *, status: int) -> HttpResponse:
    rows = [
        {"member": member, "id": membership.member_id(member), "form": RoleForm({"role": member.role}, auto_id=False)}
        for member in membership.listed(scope=request.scope)
    ]
    context = {"nav": "settings", "rows": rows, "form": form, "you": request.actor.id, "role_words": ROLE_WORDS}
    return page(request, "projects/members.html", context, status=status)


# --- API keys -------------------------------------------------------------------------------------------------------
@never_cache
@console_view(get="console.read", post="keys.manage")
def keys(request: ConsoleRequest) -> HttpResponse:
    """The keys of this environment; a POST creates one and shows its text on the answer, once."""
    form = _key_form(request)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            with _refusals(request, "key.created", Subject("api_key", "new", given["name"])):
                key, text = api_keys.create(
                    access=request.access,
                    name=given["name"],
                    permissions=given["permissions"],
                    life=given["life"],
                    now=timezone.now(),
                )
        except DomainError as error:
            form.add_error(None, f"{error.detail} {error.next_step}")
            return _keys_page(request, form, status=error.status)
        return _keys_page(request, _key_form(request, empty=True), status=201, created=key, secret=text)
    return _keys_page(request, form, status=_status(request))


@console_view(post="keys.manage")
def key_revoke(request: ConsoleRequest, key: str) -> HttpResponse:
    with _refusals(request, "key.revoked", Subject("api_key", key)):
        found = api_keys.revoke(scope=request.scope, actor=request.actor, key=key, now=timezone.now())
    return _saved(request, f"{found.name} revoked.", "settings-keys")


def _key_form(request: ConsoleRequest, *, empty: bool = False) -> KeyForm:
    form = KeyForm(None if empty else request.POST or None)
    form.fields["permissions"].choices = [  # type: ignore[attr-defined]
        (group, [(name, words) for name, words in lines.items() if name in request.access.permissions])
        for group, lines in PERMISSION_GROUPS.items()
        if any(name in request.access.permissions for name in lines)
    ]
    return form


def _keys_page(request: ConsoleRequest, form: KeyForm, *, status: int, **more: Any) -> HttpResponse:
    now = timezone.now()
    rows = [{"key": key, "state": api_keys.state_of(key, now=now)} for key in api_keys.listed(scope=request.scope)]
    return page(request, "projects/keys.html", {"nav": "settings", "rows": rows, "form": form, **more}, status=status)


def _refusals(request: ConsoleRequest, action: str, subject: Subject) -> Any:
    return refusals.recording(
        scope=request.scope, actor=request.actor, action=action, subject=subject, now=timezone.now()
    )


def _status(request: HttpRequest) -> int:
    """A form that comes back to its sender was refused."""
    return 422 if request.method == "POST" else 200
