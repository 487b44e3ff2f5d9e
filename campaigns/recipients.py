"""Who was meant, and what became of each: the snapshot's members beside the messages of the job. Keyset pages only."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.http import StreamingHttpResponse

from audiences import explaining, snapshot
from audiences.explaining import Explanation
from audiences.reasons import REASONS
from audit import chain
from campaigns import splitting
from campaigns.lifecycle import subject_of
from campaigns.models import Campaign
from delivery.accounts import EXCEPTIONAL, Account, Overlay
from delivery.jobs import BEYOND_CAP
from delivery.models import JobState, SendJob
from delivery.pacing.turnstile import DOMAIN, WINDOW
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.cells import Line, safe_cell
from lamba_campaigns.lib.errors import Conflict
from lamba_campaigns.lib.sql import durable
from lamba_campaigns.web.pagination import bad_query
from projects.scoping import Actor, Scope

EXPORT_PAGE: Final = 2_000
POSITION_MAX: Final = 2**31 - 1
OUTCOMES: Final[dict[str, tuple[Account, ...]]] = {
    "accepted": (Account.ACCEPTED,),
    "delivered": (Account.DELIVERED,),
    "bounced": (Account.BOUNCED,),
    "failed": (Account.FAILED, Account.REJECTED),
    "deferred": (Account.DEFERRED,),
    "uncertain": (Account.UNCERTAIN,),
    "cancelled": (Account.CANCELLED,),
    "pending": (Account.PENDING, Account.IN_FLIGHT),
    "excluded": (Account.EXCLUDED,),
}
_COLUMNS: Final = ("person", "address", "outcome", "reason", "detail", "tries", "variant")
OUR_WORDS: Final = frozenset({WINDOW, DOMAIN})  # not what a server answered: the detail says it


class NothingFrozen(Conflict):
    """The campaign has no audience yet; the recipients are known once it is launched."""

    code = "NOT_LAUNCHED"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of the campaign. `outcome` is the ledger's account; `reason` says why somebody was left out."""

    position: int
    person: str
    address: str
    outcome: str
    reason: str
    detail: str
    tries: int
    last_event_at: datetime | None
    overlays: tuple[str, ...]
    variant: str = ""  # a or b, of an A/B split


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Recipient]
    next_after: int | None


def page(*, scope: Scope, campaign: Campaign, outcome: str, after: int | None, size: int, find: str = "") -> Page:
    """People with this outcome ('' is everybody included) after a position; `find` is how an address starts."""
    start = POSITION_MAX if outcome == "excluded" else 0
    params = _where(scope, campaign) | {"after": start if after is None else after, "size": size + 1}
    if find:
        found = sql.rows("campaigns", "recipients_named", params | {"prefix": f"{_literal(find.strip().lower())}%"})
        return Page(_recipients(found[:size], campaign), None)
    name, accounts = _statement(outcome)
    found = sql.rows("campaigns", name, params | {"accounts": [int(account) for account in accounts]})
    rows = _recipients(found[:size], campaign)
    return Page(rows, rows[-1].position if len(found) > size else None)


def explain(*, scope: Scope, campaign: Campaign, text: str) -> Explanation:
    """Why somebody was in the audience that was frozen, or not: members, left out, and whom it never matched.

    `text` is an address, Lamba's user id, or per_…; NotFound for nobody.
    """
    _where(scope, campaign)
    assert campaign.snapshot is not None
    taken = snapshot.get(scope=scope, public_id=campaign.snapshot.public_id)
    return explaining.explain_then(scope=scope, snapshot=taken, person=explaining.find_one(scope=scope, text=text))


def export(*, scope: Scope, campaign: Campaign, outcome: str) -> Iterator[Recipient]:
    """Everybody with this outcome; everybody at all when it is ''. Memory stays flat."""
    for part in [outcome] if outcome else ["", "excluded"]:
        after: int | None = None
        while True:
            found = page(scope=scope, campaign=campaign, outcome=part, after=after, size=EXPORT_PAGE)
            yield from found.rows
            if found.next_after is None:
                break
            after = found.next_after


def csv_response(
    *, scope: Scope, actor: Actor, campaign: Campaign, outcome: str, now: datetime
) -> StreamingHttpResponse:
    """The export as a download. The audit entry is written before the first row leaves."""
    _where(scope, campaign)
    if outcome:
        _statement(outcome)
    with durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="people.exported",
            subject=subject_of(campaign),
            now=now,
            after={"what": "recipients", "outcome": outcome or "all"},
        )
    lines = _csv_lines(scope, campaign, outcome)
    name = f"{scope.workspace_slug}-{scope.environment}-{campaign.public_id}-recipients.csv"
    return StreamingHttpResponse(
        lines, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def as_json(row: Recipient, campaign: Campaign) -> dict[str, Any]:
    assert campaign.snapshot is not None
    return {
        "personId": row.person,
        "address": row.address or None,
        "outcome": row.outcome,
        "reason": row.reason,
        "detail": row.detail,
        "tries": row.tries,
        "variant": row.variant or None,
        "lastEventAt": row.last_event_at,
        "explain": f"/api/v1/snapshots/{campaign.snapshot.public_id}/explain?person={row.person}",
    }


def _csv_lines(scope: Scope, campaign: Campaign, outcome: str) -> Iterator[str]:
    writer = csv.writer(Line())
    local = f"last_event_{scope.time_zone}"
    yield writer.writerow(
        ["person", "address", "outcome", "reason", "detail", "tries", "variant", "last_event_utc", local]
    )
    for row in export(scope=scope, campaign=campaign, outcome=outcome):
        moment = row.last_event_at
        cells = [row.person, row.address, row.outcome, row.reason, row.detail, str(row.tries), row.variant]
        utc = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else ""
        near = moment.astimezone(scope.zone).strftime("%Y-%m-%d %H:%M:%S") if moment else ""
        yield writer.writerow([*map(safe_cell, cells), utc, near])


def _where(scope: Scope, campaign: Campaign) -> dict[str, Any]:
    if campaign.snapshot is None or campaign.job is None:
        raise NothingFrozen(f"{campaign.name} has no recipients yet.", next_step="They are frozen when it is launched.")
    return {
        "environment": scope.environment_id,
        "job": campaign.job.pk,
        "snapshot": campaign.snapshot.pk,
        "month": campaign.snapshot.taken_month,
        "last": _last(campaign.job),
    }


def _last(job: SendJob) -> int:
    """The last position that may still wait for its message."""
    if job.state in (JobState.CANCELLED, JobState.FINISHED):
        return 0
    return POSITION_MAX if job.total_cap is None else job.total_cap


def _statement(outcome: str) -> tuple[str, tuple[Account, ...]]:
    if not outcome:
        return "recipients_everybody", ()
    if outcome not in OUTCOMES:
        raise bad_query("outcome", f"{outcome!r} is no outcome.", f"Use one of {', '.join(OUTCOMES)}.")
    accounts = OUTCOMES[outcome]
    if outcome == "excluded":
        return "recipients_excluded", accounts
    if outcome == "pending":
        return "recipients_waiting", accounts
    if outcome == "cancelled":
        return "recipients_cancelled", accounts
    return ("recipients_exceptional" if set(accounts) <= set(EXCEPTIONAL) else "recipients_usual"), accounts


def _recipients(rows: Sequence[sql.Row], campaign: Campaign) -> list[Recipient]:
    variants = splitting.variants_at(campaign=campaign, positions=[row[0] for row in rows])
    return [_recipient(row, campaign, variants.get(row[0], "")) for row in rows]


def _recipient(row: sql.Row, campaign: Campaign, variant: str) -> Recipient:
    position, person, address, reason, account, code, detail, attempts, last_event_at, overlays = row
    assert campaign.job is not None
    left_out = REASONS.get(reason, "") if reason else ""
    if account is None and campaign.job.total_cap is not None and position > campaign.job.total_cap:
        left_out = BEYOND_CAP
    waits = Account.PENDING if position <= _last(campaign.job) else Account.CANCELLED
    outcome = Account(account).ledger if account is not None else waits.ledger
    return Recipient(
        position=position,
        person=person,
        address=address or "",
        outcome=outcome,
        reason=left_out,
        detail=left_out.replace("_", " ").capitalize() if left_out else reply(code or "", detail or ""),
        tries=attempts or 0,
        last_event_at=last_event_at,
        overlays=tuple(each.column for each in Overlay if (overlays or 0) & each),
        variant=variant,
    )


def reply(code: str, detail: str) -> str:
    """`250 2.0.0 Captured`: the enhanced code between the reply code and its words, as a server writes it."""
    if code.startswith("late:"):
        return f"{code.removeprefix('late:').replace('_', ' ').capitalize()}. {detail}"
    if code in OUR_WORDS:
        return detail
    first, _, words = detail.partition(" ")
    if len(first) != 3 or not first.isdigit():
        return f"{code} {detail}".strip()
    return " ".join(part for part in (first, code.removeprefix(first).strip(), words) if part)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
