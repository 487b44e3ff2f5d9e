"""publish(): new versions of the catalogue. What is published never changes; a period keeps what it began with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.canonical import digest
from lamba_campaigns.lib.errors import Conflict
from limits import catalogue, sheets
from limits.entitlements import DEFAULT_PLAN
from limits.models import PlanCatalogue, Subscription, WorkspaceAddOn
from projects.scoping import Actor

LOCK = "limits:catalogue"


class VersionPublished(Conflict):
    code = "CATALOGUE_VERSION_PUBLISHED"
    title = "A published version never changes"


class BeginsTooEarly(Conflict):
    code = "CATALOGUE_BEGINS_TOO_EARLY"
    title = "The version would change what was promised"


class LosesPlans(Conflict):
    code = "CATALOGUE_LOSES_PLANS"
    title = "Somebody has a plan that the version lacks"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Versions by what became of them."""

    published: tuple[str, ...]
    unchanged: tuple[str, ...]


def publish(*, file: Any, actor: Actor, now: datetime) -> Loaded:
    """Every version of `file` is published, all or none. Versions that are there already, unchanged, are left alone."""
    sql.require_transaction()
    versions = sheets.split(file)
    sql.rows("limits", "take_turns", {"name": LOCK})
    known = dict(PlanCatalogue.objects.values_list("version", "digest"))
    fresh = []
    for sheet in versions:
        content = sheets.as_json(sheet)
        if sheet["version"] not in known:
            fresh.append((sheet, content))
        elif known[sheet["version"]] != digest(content).hex():
            raise VersionPublished(
                f"Version {sheet['version']} is published, and the file says something else about it.",
                next_step="Leave it as it was and add a new version below it.",
            )
    for sheet, content in fresh:
        _publish(sheet, content, actor, now)
    unchanged = tuple(sheet["version"] for sheet in versions if sheet["version"] in known)
    return Loaded(tuple(sheet["version"] for sheet, _ in fresh), unchanged)


def _publish(sheet: sheets.Sheet, content: dict[str, Any], actor: Actor, now: datetime) -> None:
    begins = sheets.midnight(sheet["effective_from"])
    newest = PlanCatalogue.objects.order_by("-effective_from").first()
    if newest is not None and begins <= max(newest.effective_from, now):
        raise BeginsTooEarly(
            f"Version {sheet['version']} would begin on {begins:%-d %B %Y}.",
            next_step=f"Let it begin after {max(newest.effective_from, now):%-d %B %Y}.",
        )
    _require_bought(catalogue.read(sheet), now)
    row = PlanCatalogue.objects.create(
        version=sheet["version"],
        effective_from=begins,
        source=sheet["source"],
        content=content,
        digest=digest(content).hex(),
        published_by=actor.label[:200],
        published_at=now,
    )
    chain.record(
        scope=None,
        actor=actor,
        action="catalogue.published",
        subject=chain.Subject("plan_catalogue", row.version, row.version),
        now=now,
        after={"version": row.version, "effectiveFrom": begins, "source": row.source, "digest": row.digest},
    )


def _require_bought(sheet: catalogue.Catalogue, now: datetime) -> None:
    """Whatever a workspace has must be in every later version: nobody may wake up without a plan."""
    plans = set(Subscription.objects.filter(status=Subscription.Status.ACTIVE).values_list("plan", flat=True))
    lasting = Q(effective_to=None) | Q(effective_to__gt=now)
    skus = set(WorkspaceAddOn.objects.filter(lasting).values_list("sku", flat=True))
    missing = sorted((plans | {DEFAULT_PLAN}) - set(sheet.plans)) + sorted(skus - set(sheet.add_ons))
    if missing:
        raise LosesPlans(
            f"Version {sheet.version} lacks what workspaces have: {', '.join(missing)}.",
            next_step="Keep them in the version, with the figures that shall count.",
        )
