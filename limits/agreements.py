"""agree(): limits that were agreed with one workspace, in place of its plan's, from now until it changes its plan."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from limits import entitlements, sheets
from limits.entitlements import OVERAGE
from limits.keys import DIMENSIONS
from limits.models import Subscription
from projects.models import Workspace
from projects.scoping import Actor

AS_PLANNED: Final = "plan"  # takes an agreement back
OVERAGE_FORMS: Final = "block, allow:CAP:PRICE_PER_THOUSAND, grace:PERCENT or plan"


def read(words: Sequence[str]) -> dict[str, Any]:
    """`limit=5000`, `limit=none`, `limit=plan`, `overage=grace:10` as terms. Invalid names what can't be read."""
    terms: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        terms[key] = _overage(value) if key == OVERAGE else _limit(value)
    return terms


def agree(
    *, workspace_id: int, terms: Mapping[str, Any], actor: Actor, reason: str = "", now: datetime
) -> dict[str, Any]:
    """All agreements that the workspace has afterwards. Terms: limit -> number, None, AS_PLANNED; overage -> policy."""
    sql.require_transaction()
    _require_good(terms)
    workspace = Workspace.objects.select_for_update().get(pk=workspace_id)
    present = entitlements.of_workspace(workspace_id=workspace_id, at=now)
    agreed = {key: value for key, value in {**present.overrides, **terms}.items() if value != AS_PLANNED}
    Subscription.objects.create(
        workspace_id=workspace_id,
        plan=present.plan_id,
        effective_from=now,
        overrides=agreed,
        anchor_day=present.anchor_day,
        time_zone=present.time_zone,
        created_at=now,
    )
    chain.record(
        scope=None,
        workspace_id=workspace_id,
        actor=actor,
        action="limit.overridden",
        subject=chain.Subject("workspace", workspace.public_id, workspace.name),
        now=now,
        before={"agreed": present.overrides},
        after={"agreed": agreed},
        reason=reason,
    )
    return agreed


def _require_good(terms: Mapping[str, Any]) -> None:
    wrong = []
    for key, value in terms.items():
        if key == OVERAGE:
            wrong += [] if value == AS_PLANNED else list(sheets.overage_problems(f"#/{OVERAGE}", value))
        elif key not in DIMENSIONS:
            wrong.append((f"#/{key}", f"There is no limit {key!r}; there is {', '.join(DIMENSIONS)} and {OVERAGE}."))
        elif value is not None and value != AS_PLANNED and not sheets.is_count(value):
            wrong.append((f"#/{key}", f"{value!r} is no number of {DIMENSIONS[key].unit}s; none means no limit."))
    if wrong:
        problems = tuple(FieldProblem(pointer, "invalid", detail) for pointer, detail in wrong)
        raise Invalid(" ".join(each.detail for each in problems), next_step="Agree them again.", problems=problems)


def _limit(value: str) -> Any:
    if value == "none":
        return None
    return int(value) if value.isascii() and value.isdigit() else value


def _overage(value: str) -> Any:
    policy, *figures = value.split(":")
    if policy == "allow" and len(figures) == 2:
        return {"policy": policy, "cap": _limit(figures[0]), "price_per_thousand": figures[1]}
    if policy == "grace" and len(figures) == 1:
        return {"policy": policy, "grace_percent": _limit(figures[0])}
    if value == AS_PLANNED:
        return value
    if value == "block":
        return {"policy": value}
    detail = f"{value!r} is no overage."
    problem = FieldProblem(f"#/{OVERAGE}", "invalid", detail)
    raise Invalid(detail, next_step=f"Use {OVERAGE_FORMS}.", problems=(problem,))
