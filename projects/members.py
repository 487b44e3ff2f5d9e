"""Who belongs to a workspace, and as what. It never loses its last owner; only owners make and unmake owners."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast, get_args

from django.contrib.auth.models import User

from audit import chain
from audit.chain import Subject
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.constraints import translated
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Forbidden, Invalid, NotFound
from projects.models import Member, Workspace
from projects.roles import Role
from projects.scoping import Actor, Scope


class LastOwner(Conflict):
    """The step would leave the workspace without an owner."""

    code = "LAST_OWNER"
    title = "A workspace needs an owner"


class AlreadyMember(Conflict):
    code = "ALREADY_MEMBER"
    title = "Already a member"


def listed(*, scope: Scope) -> Sequence[Member]:
    """Every member of the workspace, oldest first."""
    return list(Member.objects.select_related("user").filter(workspace_id=scope.workspace_id).order_by("pk"))


def member_id(member: Member) -> str:
    return f"usr_{member.user_id}"


def find(*, scope: Scope, user: str) -> Member:
    """The member with this `usr_…` id. NotFound for everybody else."""
    number = user.removeprefix("usr_")
    found = None
    if user.startswith("usr_") and number.isascii() and number.isdigit() and len(number) < 10:
        found = Member.objects.select_related("user").filter(workspace_id=scope.workspace_id, user_id=number).first()
    if found is None:
        raise NotFound("Nobody with this id is a member of the workspace.", next_step="Load the list of members again.")
    return found


def add(*, scope: Scope, actor: Actor, email: str, role: str, now: datetime) -> Member:
    """The person with this address is a member. The address must belong to an account of this installation."""
    with sql.durable():
        _lock(scope)
        wanted = _role(role)
        _require_owner_for(scope, actor, wanted)
        user = User.objects.filter(email__iexact=email, is_active=True).order_by("pk").first()
        if user is None:
            detail = f"Nobody signs in here as {email}."
            raise Invalid(
                detail,
                next_step="Ask whoever runs this installation for an account: manage.py create_account.",
                problems=(FieldProblem("#/email", "unknown_account", detail),),
            )
        taken = AlreadyMember(f"{email} is a member already.", next_step="Change their role instead.")
        with translated({"member_is_unique_in_workspace": taken}):
            member = Member.objects.create(workspace_id=scope.workspace_id, user=user, role=wanted)
        _record(scope, actor, "member.added", member, now, after={"role": wanted})
        return member


def change_role(*, scope: Scope, actor: Actor, user: str, role: str, now: datetime) -> Member:
    """The member has the role. Nothing is written when they had it before."""
    with sql.durable():
        _lock(scope)
        member, wanted = find(scope=scope, user=user), _role(role)
        if member.role == wanted:
            return member
        _require_owner_for(scope, actor, wanted, cast(Role, member.role))
        _keep_an_owner(scope, member)
        before, member.role = member.role, wanted
        Member.objects.filter(pk=member.pk).update(role=wanted)
        _record(scope, actor, "member.changed", member, now, before={"role": before}, after={"role": wanted})
        return member


def remove(*, scope: Scope, actor: Actor, user: str, now: datetime) -> None:
    """The person has no access to the workspace any more. What they did stays in the audit trail."""
    with sql.durable():
        _lock(scope)
        member = find(scope=scope, user=user)
        _require_owner_for(scope, actor, cast(Role, member.role))
        _keep_an_owner(scope, member)
        Member.objects.filter(pk=member.pk).delete()
        _record(scope, actor, "member.removed", member, now, before={"role": member.role})


def _lock(scope: Scope) -> None:
    """Changes of one workspace's members run one after the other: else two could remove the last two owners."""
    Workspace.objects.select_for_update().get(pk=scope.workspace_id)


def _role(role: str) -> Role:
    if role not in get_args(Role):
        known = ", ".join(get_args(Role))
        raise Invalid(
            f"{role!r} is no role.",
            next_step=f"Use one of: {known}.",
            problems=(FieldProblem("#/role", "invalid_choice", f"Use one of: {known}."),),
        )
    return cast(Role, role)


def _require_owner_for(scope: Scope, actor: Actor, *roles: Role) -> None:
    if "owner" not in roles:
        return
    owner = actor.kind == "user" and Member.objects.filter(
        workspace_id=scope.workspace_id, user_id=actor.id.removeprefix("usr_"), role="owner"
    )
    if not owner or not owner.exists():
        raise Forbidden("Only an owner decides who is an owner.", next_step="Ask an owner of the workspace.")


def _keep_an_owner(scope: Scope, leaving: Member) -> None:
    others = Member.objects.filter(workspace_id=scope.workspace_id, role="owner").exclude(pk=leaving.pk)
    if leaving.role == "owner" and not others.exists():
        raise LastOwner(
            f"{_name(leaving)} is the only owner of {scope.workspace_name}.",
            next_step="Make somebody else an owner first.",
        )


def _name(member: Member) -> str:
    return member.user.get_full_name() or member.user.email


def _record(
    scope: Scope,
    actor: Actor,
    action: str,
    member: Member,
    now: datetime,
    *,
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
) -> None:
    """On the workspace's chain: membership belongs to no environment."""
    chain.record(
        scope=None,
        workspace_id=scope.workspace_id,
        actor=actor,
        action=action,
        subject=Subject("member", member_id(member), _name(member)),
        now=now,
        before=before,
        after=after,
    )
