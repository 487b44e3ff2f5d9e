"""How a sending campaign stands, as numbers that add up: the ledger's accounts, grouped for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from audiences.reasons import LABELS
from campaigns.freezing import Freezing
from campaigns.models import Campaign, State
from delivery.jobs import Progress
from delivery.progress import Minute
from lamba_campaigns.web import charts
from lamba_campaigns.web.console import url
from projects.scoping import Scope

BARS_MAX: Final = 40  # minutes drawn, the projected ones included
BARS_MIN: Final = 16
PROJECTED_MAX: Final = 15
LIVE_STATES: Final = (State.LAUNCHING, State.SENDING, State.PAUSING, State.PAUSED, State.CANCELLING)


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts that people read as one. `outcome` filters the recipients."""

    label: str
    tone: str
    accounts: tuple[str, ...]
    outcome: str
    always: bool = True


GROUPS: Final = (
    Group("Accepted", "ok", ("accepted", "delivered", "bounced", "deferred_there"), "accepted"),
    Group("Failed", "bad", ("failed", "rejected"), "failed"),
    Group("Retrying", "warn", ("retrying",), "deferred"),
    Group("Uncertain", "warn", ("uncertain",), "uncertain", always=False),
    Group("Cancelled", "mute", ("cancelled",), "cancelled", always=False),
    Group("Waiting", "queued", ("pending", "in_flight"), "pending"),
)


@dataclass(frozen=True, slots=True)
class Hero:
    """The top card of a campaign that was launched. `audience` is everybody who was to be contacted."""

    audience: int
    settled: int
    counters: list[dict[str, Any]]
    parts: list[tuple[str, str, int]]
    accepted: list[dict[str, Any]]  # what became of the accepted ones
    excluded: list[dict[str, Any]]
    excluded_count: int
    overlays: list[dict[str, Any]]

    @property
    def percent(self) -> str:
        """One decimal; never 100 while somebody waits."""
        if not self.audience:
            return "0"
        share = 100 * self.settled / self.audience
        if self.settled < self.audience:
            share = min(share, 99.9)
        return "100" if share >= 100 else f"{share:.1f}"


def _label(group: Group, campaign: Campaign) -> str:
    """With rules about pace, people who wait for their turn stand among those who wait for another attempt."""
    return "Later" if group.label == "Retrying" and campaign.sending_rules else group.label


def _reason(reason: str) -> str:
    """`late:no_consent` left somebody out at hand-off, the same without `late:` at launch."""
    name = reason.removeprefix("late:")
    return LABELS.get(name, name.replace("_", " ").capitalize())


def hero_of(*, scope: Scope, campaign: Campaign, progress: Progress, opens_people: bool) -> Hero:
    """The groups add up to the audience; the excluded stand beside them. Links only for who may see people."""
    accounts = _accounts(progress)
    audience = progress.planned - progress.excluded
    sums = {group.label: sum(accounts[name] for name in group.accounts) for group in GROUPS}
    waiting = sums["Waiting"] + sums["Retrying"]
    shown = [group for group in GROUPS if group.always or sums[group.label]]
    open_people = _opener(scope, campaign, opens_people)
    return Hero(
        audience=audience,
        settled=audience - waiting,
        counters=[
            {
                "label": _label(group, campaign),
                "tone": group.tone,
                "value": sums[group.label],
                "share": _share(group, sums, audience),
                "url": open_people(group.outcome) if sums[group.label] else "",
            }
            for group in shown
        ],
        parts=[
            (_label(group, campaign), group.tone, sums[group.label]) for group in GROUPS if group.label != "Waiting"
        ],
        accepted=_named(
            {"delivered": "Delivered", "bounced": "Bounced", "accepted": "Awaiting a receipt"}, accounts, open_people
        )
        + _named({"deferred_there": "Deferred by the provider"}, accounts, open_people, outcome="deferred"),
        excluded=[
            {"label": _reason(reason), "value": n}
            for reason, n in sorted(progress.excluded_by_reason.items(), key=lambda each: -each[1])
            if n
        ],
        excluded_count=progress.excluded,
        overlays=[
            {"label": name.capitalize(), "value": progress.overlays[name]}
            for name in ("unsubscribed", "complained")
            if progress.overlays[name]
        ],
    )


def chart_of(*, campaign: Campaign, progress: Progress, zone: ZoneInfo, now: datetime) -> charts.Chart | None:
    """Outcomes per minute, the running minute faded, the rest projected at the present pace."""
    if not progress.per_minute:
        return None
    sending = campaign.state == State.SENDING
    ahead = _ahead(progress, now) if sending else []
    last = progress.per_minute[-1].at
    quiet = now - last > timedelta(minutes=BARS_MAX // 2)
    past = _every_minute(progress.per_minute, now if sending and not quiet else last)
    buckets = [_bucket(minute, zone, now, sending) for minute in past[-(BARS_MAX - len(ahead)) :]]
    buckets += [
        charts.Bucket(f"{moment.astimezone(zone):%H:%M}", (progress.pace, 0, 0, 0), projected=True) for moment in ahead
    ]
    buckets += [_quiet(moment, zone) for moment in _padding([minute.at for minute in past] + ahead, len(buckets))]
    return charts.bar_chart(
        title="Outcomes per minute",
        unit="Minute",
        series=[
            charts.Series("Accepted", "ok"),
            charts.Series("Failed", "bad"),
            charts.Series("Deferred", "warn"),
            charts.Series("Excluded", "mute"),
        ],
        buckets=buckets,
    )


def digest_of(campaign: Campaign, progress: Progress | None, freezing: Freezing | None) -> str:
    """Changes when anything on the live card would: the poll answers 204 while it stays."""
    if progress is None:
        return (
            f"{campaign.state_version}.{freezing.phase}.{freezing.written}" if freezing else f"{campaign.state_version}"
        )
    counted = sum((place + 1) * n for place, n in enumerate(progress.accounts.values()))
    stuck = progress.why_stuck.code if progress.why_stuck else ""
    later = sum(progress.overlays.values())
    warned = len(campaign.job.warnings) if campaign.job else 0
    return f"{campaign.state_version}.{counted}.{progress.retrying}.{progress.pace}.{later}.{stuck}.{warned}"


def _accounts(progress: Progress) -> dict[str, int]:
    """`deferred` is two things: waiting for our next attempt, and delayed at the provider, which accepted it."""
    deferred_there = max(0, progress.accounts["deferred"] - progress.retrying)
    ours = progress.accounts["deferred"] - deferred_there
    return {**progress.accounts, "retrying": ours, "deferred_there": deferred_there}


def _share(group: Group, sums: Mapping[str, int], audience: int) -> str:
    if group.label not in ("Accepted", "Failed") or not audience or not sums[group.label]:
        return ""
    share = 100 * sums[group.label] / audience
    return f"{share:.1f}%" if share >= 0.1 else "<0.1%"


def _opener(scope: Scope, campaign: Campaign, opens_people: bool) -> Any:
    base = url(scope, "campaign-recipients", campaign.public_id)
    return lambda outcome: f"{base}?outcome={outcome}" if opens_people else ""


def _named(
    labels: Mapping[str, str], accounts: Mapping[str, int], open_people: Any, outcome: str = ""
) -> list[dict[str, Any]]:
    return [
        {"label": label, "value": accounts[name], "url": open_people(outcome or name)}
        for name, label in labels.items()
        if accounts[name]
    ]


def _every_minute(series: tuple[Minute, ...], until: datetime) -> list[Minute]:
    """Quiet minutes count too: a pause must look like a gap."""
    known = {minute.at: minute for minute in series}
    first = max(series[0].at, until.replace(second=0, microsecond=0) - timedelta(minutes=BARS_MAX))
    found, moment = [], first
    while moment <= until:
        found.append(known.get(moment) or Minute(moment, 0, 0, 0, 0, 0, 0))
        moment += timedelta(minutes=1)
    return found


def _bucket(minute: Minute, zone: ZoneInfo, now: datetime, sending: bool) -> charts.Bucket:
    values = (minute.accepted, minute.failed + minute.rejected, minute.deferred + minute.uncertain, minute.excluded)
    current = sending and minute.at == now.replace(second=0, microsecond=0)
    return charts.Bucket(f"{minute.at.astimezone(zone):%H:%M}", values, current=current)


def _padding(shown: list[datetime], drawn: int) -> list[datetime]:
    """Empty minutes after the last one: a send of a minute or two still gets bars of a usual width."""
    return [shown[-1] + timedelta(minutes=n) for n in range(1, BARS_MIN - drawn + 1)]


def _quiet(moment: datetime, zone: ZoneInfo) -> charts.Bucket:
    return charts.Bucket(f"{moment.astimezone(zone):%H:%M}", (0, 0, 0, 0))


def _ahead(progress: Progress, now: datetime) -> list[datetime]:
    if progress.finishes_at is None or not progress.pace:
        return []
    start = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    minutes = min(PROJECTED_MAX, int((progress.finishes_at - now).total_seconds() // 60))
    return [start + timedelta(minutes=n) for n in range(minutes)]
