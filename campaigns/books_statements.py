"""The closing statement: signed when the books close, never changed, re-issued with an adjustment later.

`offline_verifier.py` checks it anywhere. What is signed is the text of the note; everything else repeats it.
"""

import csv
import io
import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal

from django.http import HttpResponse

from audit import chain, offline_verifier, reconciliation, redaction, signatures
from audit.models import Statement
from campaigns import books
from campaigns.lifecycle import subject_of
from campaigns.models import Campaign
from lamba_campaigns.lib.canonical import canonical_bytes
from lamba_campaigns.lib.cells import safe_cell
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.lib.sql import durable, require_transaction
from projects.scoping import SYSTEM, Actor, Scope

REISSUED_AFTER: Final = timedelta(hours=1)  # receipts come by the thousand; an adjustment tells of an hour's worth
COMPARED: Final = ("planned", "excluded", "accounts", "excludedByReason", "residual", "breaks", "overlays")
Kind = Literal["csv", "json"]
OMITTED: Final = ("digest",)  # of a live statement: the signature says more


def issue(*, scope: Scope, campaign: Campaign, now: datetime) -> Statement | None:
    """The next number, if the books say something else than the newest one; late events are explained by it."""
    require_transaction()
    assert campaign.job is not None
    newest = latest(scope=scope, campaign=campaign)
    if newest is not None and newest.issued_at > now - REISSUED_AFTER:
        return None
    body = {
        name: value for name, value in books.statement(scope=scope, campaign=campaign).items() if name not in OMITTED
    }
    before = json.loads(bytes(newest.note)) if newest else None
    adjustment = _adjustment(before, body) if before else {}
    if before is not None and not adjustment:
        return None
    found = _sign(scope, campaign, body, newest, adjustment, now)
    reason = f"Adjusted by statement {found.number}."
    job_id = campaign.job.pk
    reconciliation.explain(scope=scope, job_id=job_id, type="late_event", by=found.public_id, reason=reason, now=now)
    chain.record(
        scope=scope,
        actor=SYSTEM,
        action="statement.issued",
        subject=subject_of(campaign),
        now=now,
        before={"number": newest.number} if newest else None,
        after={
            "number": found.number,
            "digest": sha256(bytes(found.note)).hexdigest(),
            "adjustment": adjustment or None,
        },
    )
    return found


def latest(*, scope: Scope, campaign: Campaign) -> Statement | None:
    """The newest number; None before the books closed."""
    if campaign.job_id is None:
        return None
    found: Statement | None = Statement.objects.within(scope).filter(job_id=campaign.job_id).order_by("-number").first()
    return found


def signed(*, scope: Scope, campaign: Campaign) -> dict[str, Any]:
    """The newest statement as it leaves the house: {statement, note, signature, key}. NotFound before it is issued."""
    found = latest(scope=scope, campaign=campaign)
    if found is None:
        raise NotFound(f"{campaign.name} has no signed statement yet.", next_step="It is issued when its books close.")
    note = bytes(found.note).decode()
    return {
        "statement": json.loads(note),
        "note": note,
        "signature": bytes(found.signature).hex(),
        "key": bytes(found.key).hex(),
    }


def download(*, scope: Scope, actor: Actor, campaign: Campaign, kind: Kind, now: datetime) -> HttpResponse:
    """The newest signed statement, or the books as they stand while they are open. The audit entry is written first."""
    found = latest(scope=scope, campaign=campaign)
    document: dict[str, Any] = {"statement": books.statement(scope=scope, campaign=campaign)}
    if found is not None:
        document = signed(scope=scope, campaign=campaign)
    said = {"what": "books", "format": kind, "number": found.number if found else None}
    with durable():
        chain.record(scope=scope, actor=actor, action="export.made", subject=subject_of(campaign), now=now, after=said)
    text = as_csv(document) if kind == "csv" else json.dumps(document, indent=2, ensure_ascii=False)
    name = f"{scope.workspace_slug}-{scope.environment}-{campaign.public_id}-books.{kind}"
    media = "text/csv" if kind == "csv" else "application/json"
    return HttpResponse(
        text,
        content_type=f"{media}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def as_csv(document: dict[str, Any]) -> str:
    """The same as lines of group, item and value; the last three carry what was signed."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["group", "item", "value"])
    for group, item, value in offline_verifier.statement_lines(document["statement"]):
        writer.writerow([group, safe_cell(item), safe_cell(value)])
    writer.writerows([("signature", name, document[name]) for name in ("note", "signature", "key") if name in document])
    return text.getvalue()


def _sign(
    scope: Scope,
    campaign: Campaign,
    body: dict[str, Any],
    newest: Statement | None,
    adjustment: dict[str, Any],
    now: datetime,
) -> Statement:
    assert campaign.job is not None
    number = newest.number + 1 if newest else 1
    said = {"number": number, "issuedAt": redaction.timestamp(now), "adjustment": adjustment}
    said["previousSignature"] = bytes(newest.signature).hex() if newest else ""
    note = canonical_bytes(body | said)
    return Statement.objects.create(
        environment_id=scope.environment_id,
        job_id=campaign.job.pk,
        subject=campaign.public_id,
        number=number,
        note=note,
        key=signatures.public_key(),
        signature=signatures.sign(note),
        issued_at=now,
    )


def _adjustment(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What differs from the statement before, as name -> by how much; {} when nothing does."""
    found: dict[str, Any] = {}
    for name in COMPARED:
        old, new = before[name], now[name]
        if isinstance(new, dict):
            moved = {each: new.get(each, 0) - old.get(each, 0) for each in sorted({*old, *new})}
            found |= {f"{name}.{each}": count for each, count in moved.items() if count}
        elif new != old:
            found[name] = new - old
    return found
