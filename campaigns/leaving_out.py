"""Whom a campaign leaves out of its audience, as drafts, forms and REST say it. `audiences.exclusions` does it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from audiences.exclusions import CAP_DAYS_MAX, CAP_MESSAGES_MAX, SEGMENTS_MAX, Exclusions, FrequencyCap
from audiences.models import Segment
from campaigns.models import Campaign
from lamba_campaigns.lib.errors import FieldProblem
from projects.scoping import Scope

HOLD_OUT_PERCENT_MAX: Final = 90


def of(campaign: Campaign) -> Exclusions:
    """Whom it leaves out, those who do not want its topic included."""
    found = Exclusions.from_json(campaign.exclusions)
    return replace(found, topic=campaign.topic.slug) if campaign.topic else found


def exclusions_of(campaign: Campaign) -> dict[str, Any]:
    """The three fields of drafts.Setup."""
    found = Exclusions.from_json(campaign.exclusions)
    cap = found.frequency_cap
    return {
        "frequency_cap": {"messages": cap.messages, "days": cap.days} if cap else None,
        "hold_out_percent": found.hold_out / 100 if found.hold_out else None,
        "excluded_segments": found.segments,
    }


def exclusions_said(campaign: Campaign) -> dict[str, Any]:
    """The same for an auditor, by the names that REST uses."""
    found = exclusions_of(campaign)
    cap = found["frequency_cap"]
    return {
        "frequencyCap": f"{cap['messages']} in {cap['days']} days" if cap else None,
        "holdOutPercent": found["hold_out_percent"],
        "excludedSegments": list(found["excluded_segments"]),
    }


def resolve_exclusions(
    *,
    scope: Scope,
    cap: Mapping[str, int] | None,
    hold_out_percent: float | None,
    segments: Sequence[str],
    problems: list[FieldProblem],
) -> dict[str, Any]:
    """What `Campaign.exclusions` stores; every wrong place is added to `problems`."""
    points = round((hold_out_percent or 0) * 100)
    if not 0 <= points <= HOLD_OUT_PERCENT_MAX * 100:
        problems.append(FieldProblem("#/holdOutPercent", "range", f"Use 0 to {HOLD_OUT_PERCENT_MAX} percent."))
    elif points / 100 != (hold_out_percent or 0):
        problems.append(FieldProblem("#/holdOutPercent", "precision", "Use at most two decimals, such as 12.34."))
    return Exclusions(
        frequency_cap=_cap(cap, problems), hold_out=points, segments=_segments(scope, segments, problems)
    ).as_json()


def stored(scope: Scope, **setup: Any) -> dict[str, Any]:
    """What `Campaign.exclusions` would store of a form that may still have mistakes: {} where it has."""
    problems: list[FieldProblem] = []
    found = resolve_exclusions(
        scope=scope,
        cap=setup["frequency_cap"],
        hold_out_percent=setup["hold_out_percent"],
        segments=setup["excluded_segments"],
        problems=problems,
    )
    return {} if problems else found


def _cap(cap: Mapping[str, int] | None, problems: list[FieldProblem]) -> FrequencyCap | None:
    if not cap:
        return None
    for name, most in (("messages", CAP_MESSAGES_MAX), ("days", CAP_DAYS_MAX)):
        if not 1 <= cap.get(name, 0) <= most:
            problems.append(FieldProblem(f"#/frequencyCap/{name}", "range", f"Use 1 to {most} {name}."))
    return FrequencyCap(cap.get("messages", 0), cap.get("days", 0))


def _segments(scope: Scope, slugs: Sequence[str], problems: list[FieldProblem]) -> tuple[str, ...]:
    asked = tuple(sorted(set(slugs)))
    if len(asked) > SEGMENTS_MAX:
        problems.append(FieldProblem("#/excludedSegments", "length", f"Leave out at most {SEGMENTS_MAX} segments."))
        return ()
    known = set(Segment.objects.within(scope).filter(slug__in=asked).values_list("slug", flat=True)) if asked else set()
    for slug in asked:
        if slug not in known:
            problems.append(FieldProblem("#/excludedSegments", "unknown", f"There is no segment {slug[:60]} here."))
    return asked
