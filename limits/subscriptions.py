"""Which plan and add-ons a workspace has. Up at once, down at the end of the period; usage is always kept."""

from dataclasses import dataclass
from datetime import datetime

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid
from limits import billing, catalogue, entitlements, periods
from limits.catalogue import ADD_ON_UNITS_MAX, AddOn
from limits.models import Subscription, WorkspaceAddOn
from projects.models import Workspace
from projects.scoping import Actor, Scope


class AlreadyOnPlan(Conflict):
    code = "ALREADY_ON_PLAN"
    title = "That is the plan already"


class NotForThisPlan(Conflict):
    code = "ADD_ON_NOT_FOR_PLAN"
    title = "This add-on is not sold with the plan"


@dataclass(frozen=True, slots=True)
class PlanChange:
    """From which plan to which, and when it takes effect."""

    before: str
    after: str
    effective_from: datetime


def start(
    *,
    workspace_id: int,
    plan: str,
    now: datetime,
    anchor_day: int = 1,
    time_zone: str = "UTC",
    overrides: dict[str, int | None] | None = None,
) -> Subscription:
    """The workspace has `plan` from `now` on. For the first plan, for the demo and for tests; nothing is audited."""
    sql.require_transaction()
    catalogue.at(periods.period_at(anchor_day=anchor_day, time_zone=time_zone, at=now).start).plan(plan)
    return Subscription.objects.create(
        workspace_id=workspace_id,
        plan=plan,
        effective_from=now,
        overrides=overrides or {},
        anchor_day=anchor_day,
        time_zone=time_zone,
        created_at=now,
    )


def change_plan(*, scope: Scope, actor: Actor, plan: str, now: datetime) -> PlanChange:
    """A larger plan counts from now, a smaller one from the end of the period; an earlier planned change is withdrawn.

    Choosing the present plan again takes back a planned downgrade. Requires billing.manage at the edge.
    """
    sql.require_transaction()
    Workspace.objects.select_for_update().get(pk=scope.workspace_id)
    present = entitlements.effective(scope=scope, at=now)
    wanted = present.catalogue.plan(plan)
    planned = entitlements.coming(workspace_id=scope.workspace_id, now=now)
    if wanted.id == (planned.plan if planned else present.plan_id):
        raise AlreadyOnPlan(f"The workspace is on {wanted.name}, or will be.", next_step="Pick another plan.")
    effective_from = now if wanted.rank >= present.plan.rank else present.period.end
    if planned is not None:
        Subscription.objects.filter(pk=planned.pk).update(status=Subscription.Status.WITHDRAWN)
    if wanted.id != present.plan_id:
        _begin(scope, wanted.id, present, effective_from, now)
    reference = billing.current().plan_changed(
        workspace_id=scope.workspace_id, plan=wanted, effective_from=effective_from
    )
    chain.record(
        scope=None,
        workspace_id=scope.workspace_id,
        actor=actor,
        action="plan.changed",
        subject=chain.Subject("workspace", scope.workspace, scope.workspace_name),
        now=now,
        before={"plan": present.plan_id} | ({"coming": planned.plan} if planned else {}),
        after={"plan": wanted.id, "effectiveFrom": effective_from, "billing": reference},
    )
    return PlanChange(present.plan_id, wanted.id, effective_from)


def add_add_on(*, scope: Scope, actor: Actor, sku: str, quantity: int, now: datetime) -> WorkspaceAddOn:
    """`quantity` more units of the add-on count from now on. Requires billing.manage at the edge."""
    sql.require_transaction()
    present = entitlements.effective(scope=scope, at=now)
    add_on = present.catalogue.add_on(sku)
    if not 1 <= quantity <= ADD_ON_UNITS_MAX:
        detail = f"{quantity} is not a number of units."
        problem = FieldProblem("#/quantity", "out_of_range", detail)
        raise Invalid(detail, next_step=f"Use 1 to {ADD_ON_UNITS_MAX}.", problems=(problem,))
    if present.plan_id not in add_on.plans:
        raise NotForThisPlan(
            f"{add_on.name} is not sold with the {present.plan_name} plan.", next_step="Upgrade the plan first."
        )
    if add_on.channel:
        _require_missing(scope, add_on, quantity)
    found = WorkspaceAddOn.objects.create(
        workspace_id=scope.workspace_id, sku=sku, quantity=quantity, effective_from=now, created_at=now
    )
    reference = billing.current().add_on_changed(
        workspace_id=scope.workspace_id, add_on=add_on, quantity=quantity, effective_from=now
    )
    units = present.add_ons.get(sku, 0)
    _record_add_on(scope, actor, found, add_on.name, units, units + quantity, reference, now)
    return found


def _require_missing(scope: Scope, add_on: AddOn, quantity: int) -> None:
    """A channel is there or not: nobody pays for it twice."""
    Workspace.objects.select_for_update().get(pk=scope.workspace_id)
    if WorkspaceAddOn.objects.filter(workspace_id=scope.workspace_id, sku=add_on.sku, effective_to=None).exists():
        raise Conflict(f"The workspace has {add_on.name} already.", next_step="Nothing needs to be done.")
    if quantity > 1:
        detail = f"{add_on.name} is there once or not at all."
        problem = FieldProblem("#/quantity", "out_of_range", detail)
        raise Invalid(detail, next_step="Use 1.", problems=(problem,))


def end_add_on(*, scope: Scope, actor: Actor, sku: str, now: datetime) -> datetime:
    """The workspace has the add-on until the end of the period, which is returned."""
    sql.require_transaction()
    present = entitlements.effective(scope=scope, at=now)
    until = present.period.end
    rows = WorkspaceAddOn.objects.filter(workspace_id=scope.workspace_id, sku=sku, effective_to=None).order_by("pk")
    last = rows.last()
    if last is None:
        raise Conflict("The workspace does not have this add-on, or it ends already.", next_step="Reload the page.")
    add_on, ending = present.catalogue.add_on(sku), sum(row.quantity for row in rows)
    rows.update(effective_to=until)
    reference = billing.current().add_on_changed(
        workspace_id=scope.workspace_id, add_on=add_on, quantity=-ending, effective_from=until
    )
    _record_add_on(scope, actor, last, add_on.name, present.add_ons.get(sku, 0), 0, reference, now, until)
    return until


def _begin(
    scope: Scope, plan: str, present: entitlements.Entitlements, effective_from: datetime, now: datetime
) -> None:
    Subscription.objects.create(
        workspace_id=scope.workspace_id,
        plan=plan,
        effective_from=effective_from,
        anchor_day=present.anchor_day,
        time_zone=present.time_zone,
        created_at=now,
    )


def _record_add_on(
    scope: Scope,
    actor: Actor,
    row: WorkspaceAddOn,
    name: str,
    before: int,
    after: int,
    reference: str,
    now: datetime,
    effective_from: datetime | None = None,
) -> None:
    chain.record(
        scope=None,
        workspace_id=scope.workspace_id,
        actor=actor,
        action="addon.changed",
        subject=chain.Subject("add_on", row.public_id, name),
        now=now,
        before={"sku": row.sku, "units": before},
        after={"sku": row.sku, "units": after, "effectiveFrom": effective_from or now, "billing": reference},
    )
