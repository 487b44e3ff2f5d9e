"""A/B splits, as drafts, forms and REST say them: message B goes to a share of the people, A to all others.

Who gets B is drawn by hashing (campaign, person), and frozen with everybody when the campaign is launched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from audiences.exclusions import VARIANT_A, VARIANT_B
from campaigns import templates
from campaigns.models import Campaign, Template, TemplateVersion
from delivery.content import rendering
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.errors import FieldProblem
from projects.scoping import Scope

PERCENT_MIN, PERCENT_MAX = 1, 99
LABELS: Final = {VARIANT_A: "A", VARIANT_B: "B"}


def split_of(campaign: Campaign) -> dict[str, Any]:
    """The field of drafts.Setup."""
    version = campaign.split_version
    if version is None or campaign.split_percent is None:
        return {"split": None}
    said = {"template": version.template.public_id, "version": version.number, "percent": campaign.split_percent}
    return {"split": said}


def split_said(campaign: Campaign) -> dict[str, Any]:
    """The same for an auditor."""
    version = campaign.split_version
    words = f"{version.template.name} v{version.number} to {campaign.split_percent} %" if version else None
    return {"split": words}


def resolve_split(
    *, scope: Scope, split: Mapping[str, Any] | None, is_whole: bool, problems: list[FieldProblem]
) -> dict[str, Any]:
    """The columns; every wrong place is added to `problems`. `is_whole`: there is a message A to split from."""
    if not split:
        return {"split_version": None, "split_percent": None}
    percent = split.get("percent") or 0
    if not PERCENT_MIN <= percent <= PERCENT_MAX:
        problems.append(FieldProblem("#/split/percent", "range", f"Use {PERCENT_MIN} to {PERCENT_MAX} percent."))
    if not is_whole:
        problems.append(FieldProblem("#/split", "alone", "Choose the template of message A first."))
    version = _version(scope, split, problems)
    return {"split_version": version, "split_percent": percent if version else None}


def points_of(campaign: Campaign) -> int:
    """The share of message B as a snapshot takes it, in basis points."""
    return (campaign.split_percent or 0) * 100


def fields_of(campaign: Campaign) -> list[str]:
    """What must be frozen of a person for either message."""
    versions = [each for each in (campaign.template_version, campaign.split_version) if each is not None]
    return sorted({name for version in versions for name in version.variables})


def content_of(*, scope: Scope, campaign: Campaign) -> rendering.Content:
    """What the job sends: message A, with B inside for those who get it."""
    assert campaign.template_version is not None, "a launched campaign has a message"
    content = templates.content_of(scope=scope, message=campaign.template_version)
    if campaign.split_version is None:
        return content
    return rendering.split(content, templates.content_of(scope=scope, message=campaign.split_version))


def sides(campaign: Campaign) -> list[dict[str, Any]]:
    """Both messages with how many people have them, as frozen; [] without a split or before the launch."""
    frozen = campaign.snapshot.split if campaign.snapshot else {}
    if not frozen or campaign.split_version is None or campaign.template_version is None:
        return []
    versions = {VARIANT_A: campaign.template_version, VARIANT_B: campaign.split_version}
    return [
        {"variant": name, "label": LABELS[name], "version": version, "people": frozen.get(name, 0)}
        for name, version in versions.items()
    ]


def variants_at(*, campaign: Campaign, positions: Sequence[int]) -> dict[int, str]:
    """Position -> which message, of these members; {} for a campaign without a split. One look into the key."""
    if not positions or campaign.snapshot is None or not campaign.snapshot.split:
        return {}
    where = {"month": campaign.snapshot.taken_month, "snapshot": campaign.snapshot.pk, "positions": list(positions)}
    return dict(sql.rows("campaigns", "variants_at", where))


def _version(scope: Scope, split: Mapping[str, Any], problems: list[FieldProblem]) -> TemplateVersion | None:
    rows = TemplateVersion.objects.within(scope).filter(template__public_id=split.get("template"))
    if split.get("version") is not None:
        rows = rows.filter(number=split["version"])
    found: TemplateVersion | None = rows.select_related("template").order_by("-number").first()
    if found is None or found.template.status == Template.Status.ARCHIVED:
        problems.append(FieldProblem("#/split/templateId", "unknown", "There is no such published template here."))
        return None
    return found
