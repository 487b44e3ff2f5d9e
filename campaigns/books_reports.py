"""What the outside counted: a provider's CSV, counts by REST, or Lamba's campaign.sent. The newest one counts.

A CSV has a line a message: `message_id,status`. Of several lines about one message the highest rank stands, as with
receipts. Nobody's outcome changes by a report: it is held against the books, and what differs becomes a break.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from audit import chain, refusals
from audit.models import OutsideReport
from audit.reconciliation import TOTALS
from campaigns import books_lamba
from campaigns.lifecycle import subject_of
from campaigns.models import Campaign
from campaigns.recipients import NothingFrozen
from delivery import tokens
from delivery.accounts import ACCOUNT_NAMES
from delivery.merging import TYPES
from lamba_campaigns.lib.canonical import canonical_bytes
from lamba_campaigns.lib.errors import FieldProblem, Invalid
from lamba_campaigns.lib.sql import durable, require_transaction
from projects.scoping import SYSTEM, Actor, Scope
from webhooks.registry import Event

CSV_BYTES_MAX: Final = 64_000_000
COUNT_MAX: Final = 2**31 - 1
COLUMNS: Final = ("message_id", "status")
_RANKS: Final = {name.removeprefix("message."): (int(rank), account) for name, (account, rank, _) in TYPES.items()}


def import_csv(*, scope: Scope, actor: Actor, campaign: Campaign, text: str, now: datetime) -> OutsideReport:
    """The provider's lines, counted. Invalid names the first line that can't be read."""
    job_id = _job_id(campaign)
    with refusals.recording(scope=scope, actor=actor, action="report.imported", subject=subject_of(campaign), now=now):
        standing, unknown, lines = _read(scope, job_id, text)
        counts = Counter(account.ledger for _, account in standing.values())
    known = sum(lines.values())
    with durable():
        return _store(
            scope=scope,
            actor=actor,
            campaign=campaign,
            source="provider",
            counts=dict(counts),
            unknown=unknown,
            repeated=sum(1 for each in lines.values() if each > 1),
            reference=hashlib.sha256(text.encode()).hexdigest(),
            lines=known + unknown,
            now=now,
        )


def state(*, scope: Scope, actor: Actor, campaign: Campaign, counts: Mapping[str, int], now: datetime) -> OutsideReport:
    """Counts as somebody outside gives them: account, or handed_over -> how many."""
    _job_id(campaign)
    names = {*ACCOUNT_NAMES, *TOTALS}
    wrong = sorted(set(counts) - names)
    if wrong or not counts:
        detail = f"{', '.join(wrong) or 'Nothing'} is no account; known are {', '.join(sorted(names))}."
        raise Invalid(detail, problems=(FieldProblem("#/counts", "invalid", detail),))
    reference = hashlib.sha256(canonical_bytes([dict(counts), now.isoformat()])).hexdigest()
    with durable():
        return _store(
            scope=scope,
            actor=actor,
            campaign=campaign,
            source="provider",
            counts=dict(counts),
            reference=reference,
            now=now,
        )


def note_lamba(*, scope: Scope, event: Event, now: datetime) -> OutsideReport | None:
    """Lamba's campaign.sent beside the books of the campaign that it names; None when it states no number.

    Raises Unmatched when it names none of ours.
    """
    require_transaction()
    campaign, total = books_lamba.campaign_of(scope=scope, event=event), books_lamba.total_of(event.data)
    if total is None or total > COUNT_MAX:
        return None
    counts = {"handed_over": total}
    return _store(
        scope=scope, actor=SYSTEM, campaign=campaign, source="lamba", counts=counts, reference=event.id, now=now
    )


def latest(*, scope: Scope, campaign: Campaign) -> list[OutsideReport]:
    """The newest report of each source."""
    rows = OutsideReport.objects.within(scope).filter(job_id=campaign.job_id)
    return list(rows.order_by("source", "-id").distinct("source"))


def _store(
    *,
    scope: Scope,
    actor: Actor,
    campaign: Campaign,
    source: str,
    counts: dict[str, int],
    reference: str,
    now: datetime,
    unknown: int = 0,
    repeated: int = 0,
    lines: int | None = None,
) -> OutsideReport:
    """One report once: the same file or event again changes nothing."""
    facts = {"counts": counts, "unknown": unknown, "repeated": repeated, "made_by": actor.label[:200], "made_at": now}
    found, made = OutsideReport.objects.within(scope).get_or_create(
        environment_id=scope.environment_id,
        job_id=campaign.job_id,
        source=source,
        reference=reference[:128],
        defaults=facts,
    )
    if made:
        after = {"source": source, "counts": counts, "unknown": unknown, "repeated": repeated, "lines": lines}
        chain.record(
            scope=scope,
            actor=actor,
            action="report.imported",
            subject=subject_of(campaign),
            now=now,
            after={name: value for name, value in after.items() if value},
        )
    report: OutsideReport = found
    return report


def _job_id(campaign: Campaign) -> int:
    if campaign.job_id is None:
        raise NothingFrozen(f"{campaign.name} has no books yet.", next_step="They open when it is launched.")
    job_id: int = campaign.job_id
    return job_id


def _read(scope: Scope, job_id: int, text: str) -> tuple[dict[int, Any], int, Counter[int]]:
    """Position -> (rank, account) of its highest line; lines about nobody here; lines of each position."""
    if len(text) > CSV_BYTES_MAX:
        raise _wrong(1, f"The file is larger than {CSV_BYTES_MAX // 1_000_000} MB.")
    rows = csv.DictReader(io.StringIO(text))
    if not set(COLUMNS) <= set(rows.fieldnames or ()):
        raise _wrong(1, f"The first line must name the columns {' and '.join(COLUMNS)}.")
    standing: dict[int, Any] = {}
    lines: Counter[int] = Counter()
    unknown = 0
    for number, row in enumerate(rows, 2):
        status = (row["status"] or "").strip().lower()
        if status not in _RANKS:
            raise _wrong(number, f"{status!r} is no status; known are {', '.join(sorted(_RANKS))}.")
        reference = tokens.read_message_id(row["message_id"] or "")
        if reference is None or (reference.environment_id, reference.job_id) != (scope.environment_id, job_id):
            unknown += 1
            continue
        lines[reference.number] += 1
        standing[reference.number] = max(
            standing.get(reference.number, (0, None)), _RANKS[status], key=lambda found: found[0]
        )
    return standing, unknown, lines


def _wrong(line: int, detail: str) -> Invalid:
    told = f"Line {line}: {detail}"
    return Invalid(told, problems=(FieldProblem("#/report", "invalid", told),))
