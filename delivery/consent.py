"""What people decided about being contacted: evidence here, the fact that rules and claims read in audiences, together.

Everything takes effect with its commit, so before the next micro-batch. Doing it again changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from audiences import facts
from audiences.channels import CHANNEL_BITS
from audiences.models import PersonFacts
from audit import chain
from delivery import decisions, statements
from delivery.content.mime import BadAddress
from delivery.content.mime import address as wire_address
from delivery.decisions import Decision, How
from delivery.models import ConsentEvent, Suppression, Topic
from lamba_campaigns.lib.errors import Conflict, FieldProblem, Invalid, NotFound
from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.sql import require_transaction
from projects.scoping import SYSTEM, Actor, Scope

DETAIL_CHARS_MAX = 300
ADDRESS_CHARS_MAX = 320
ADDRESSES_PER_STATEMENT = 5_000


def is_unsubscribed(*, scope: Scope, person_id: int, channel: str) -> bool:
    """What stands for this person now."""
    mask = PersonFacts.objects.within(scope).values_list("unsubscribed_mask", flat=True).filter(pk=person_id).first()
    return bool((mask or 0) & CHANNEL_BITS[channel])


def unsubscribe(
    *,
    scope: Scope,
    people: Mapping[int, str],
    channel: str,
    how: How,
    source: str,
    occurred_at: datetime,
    now: datetime,
    job_id: int | None = None,
    ip: str = "",
    topic: Topic | None = None,
) -> int:
    """These people (id -> address) get nothing more by this channel, or nothing more of the topic.

    Returns for how many that is news.
    """
    decision = Decision("unsubscribed", channel, how, source, occurred_at, topic=topic, job_id=job_id, ip=ip)
    return decisions.take(scope=scope, people=people, decision=decision, now=now)


def resubscribe(
    *,
    scope: Scope,
    people: Mapping[int, str],
    channel: str,
    how: How,
    source: str,
    occurred_at: datetime,
    now: datetime,
    job_id: int | None = None,
    ip: str = "",
    topic: Topic | None = None,
) -> int:
    """These people took their unsubscribe back. Consent and suppressions stay as they are."""
    decision = Decision("resubscribed", channel, how, source, occurred_at, topic=topic, job_id=job_id, ip=ip)
    return decisions.take(scope=scope, people=people, decision=decision, now=now)


def suppress(
    *, scope: Scope, actor: Actor, address: str, channel: str, detail: str, how: How, now: datetime
) -> Suppression:
    """The address is on the list, by an operator's decision. Conflict when it is there already."""
    require_transaction()
    if channel not in CHANNEL_BITS:
        wrong = f"A channel is one of {', '.join(CHANNEL_BITS)}."
        raise Invalid(wrong, problems=(FieldProblem("#/channel", "unknown_channel", wrong),))
    plain = _plain_address(address) if channel == "email" else _other_address(address)
    new = _insert(scope, {plain: detail}, channel, Suppression.Reason.MANUAL, actor.id, actor.label, now)
    if not new:
        raise Conflict(f"{plain} is on the suppression list already.", next_step="Nothing is left to do.")
    row = new[0]
    _note(scope, [row], "suppressed", how, row.public_id, actor.label, actor.ip, now, now, reason="manual")
    chain.record(
        scope=scope,
        actor=actor,
        action="suppression.added",
        subject=chain.Subject("suppression", row.public_id, masked(plain)),
        now=now,
        after={"channel": channel, "reason": row.reason},
        reason=detail,
    )
    return row


def suppress_automatically(
    *,
    scope: Scope,
    addresses: Mapping[str, str],
    channel: str,
    reason: Suppression.Reason,
    source: str,
    occurred_at: datetime,
    now: datetime,
) -> int:
    """Addresses (-> what was said) join the list because of a hard bounce or a complaint. Returns how many are new."""
    require_transaction()
    lowered = {address.lower(): detail for address, detail in addresses.items()}
    new = _insert(scope, lowered, channel, reason, source, SYSTEM.label, now)
    if not new:
        return 0
    _note(scope, new, "suppressed", "receipt", source, SYSTEM.label, "", occurred_at, now, reason=str(reason))
    chain.record(
        scope=scope,
        actor=SYSTEM,
        action="suppression.added",
        subject=chain.Subject("suppression", new[0].public_id, masked(new[0].address)),
        now=now,
        after={"channel": channel, "reason": str(reason), "addresses": len(new), "source": source},
    )
    return len(new)


def suppress_many(
    *,
    scope: Scope,
    actor: Actor,
    addresses: Mapping[str, str],
    channel: str,
    reason: Suppression.Reason,
    how: How,
    source: str,
    now: datetime,
) -> int:
    """Checked addresses (-> what was said) join the list. Returns how many are new; the caller audits the whole."""
    require_transaction()
    added = 0
    wanted = sorted(addresses)
    for start in range(0, len(wanted), ADDRESSES_PER_STATEMENT):
        part = {address: addresses[address] for address in wanted[start : start + ADDRESSES_PER_STATEMENT]}
        new = _insert(scope, part, channel, reason, source, actor.label, now)
        if new:
            _note(scope, new, "suppressed", how, source, actor.label, actor.ip, now, now, reason=str(reason))
        added += len(new)
    return added


def unsuppress(*, scope: Scope, actor: Actor, public_id: str, reason: str, how: How, now: datetime) -> Suppression:
    """The address may be contacted again, if its person is otherwise willing."""
    require_transaction()
    row: Suppression | None = Suppression.objects.within(scope).select_for_update().filter(public_id=public_id).first()
    if row is None:
        raise NotFound("This address is not on the suppression list any more.")
    if not reason.strip():
        detail = "Say why this address may be contacted again."
        raise Invalid(detail, problems=(FieldProblem("#/reason", "required", detail),))
    Suppression.objects.within(scope).filter(pk=row.pk).delete()
    _note(scope, [row], "unsuppressed", how, new_id("act"), actor.label, actor.ip, now, now, reason="")
    chain.record(
        scope=scope,
        actor=actor,
        action="suppression.removed",
        subject=chain.Subject("suppression", row.public_id, masked(row.address)),
        now=now,
        before={"channel": row.channel, "reason": row.reason},
        reason=reason,
    )
    return row


def suppression(*, scope: Scope, public_id: str) -> Suppression:
    """The entry with this id, or NotFound."""
    row: Suppression | None = Suppression.objects.within(scope).filter(public_id=public_id).first()
    if row is None:
        raise NotFound("This address is not on the suppression list.", next_step="Look at the list again.")
    return row


def masked(address: str) -> str:
    """An address that says enough to recognise it: `a…@example.com`."""
    local, _, domain = address.partition("@")
    return f"{local[:1]}…@{domain}"


def _insert(
    scope: Scope,
    addresses: Mapping[str, str],
    channel: str,
    reason: Suppression.Reason,
    source: str,
    creator: str,
    now: datetime,
) -> list[Suppression]:
    """The rows that were not there yet."""
    wanted = sorted(address.lower() for address in addresses)
    details = {address.lower(): detail for address, detail in addresses.items()}
    found = statements.rows(
        "insert_suppressions",
        {
            "environment": scope.environment_id,
            "public_ids": [new_id(Suppression.id_prefix) for _ in wanted],
            "addresses": wanted,
            "details": [details[address][:DETAIL_CHARS_MAX] for address in wanted],
            "channel": channel,
            "reason": str(reason),
            "source": source[:80],
            "creator": creator[:200],
            "now": now,
        },
    )
    return list(Suppression.objects.within(scope).filter(pk__in=[pk for (pk,) in found]).order_by("pk"))


def _note(
    scope: Scope,
    rows: list[Suppression],
    action: Literal["suppressed", "unsuppressed"],
    how: How,
    source: str,
    actor: str,
    ip: str,
    occurred_at: datetime,
    now: datetime,
    *,
    reason: str,
) -> None:
    """Evidence for each address, and the fact for everybody who has it. An empty reason lifts it."""
    channel = rows[0].channel
    owners = statements.rows(
        "people_of_addresses",
        {"environment": scope.environment_id, "addresses": sorted({row.address.lower() for row in rows})},
    )
    person_of = {address: person_id for person_id, address in owners}
    evidence = [
        ConsentEvent(
            environment_id=scope.environment_id,
            person_id=person_of.get(row.address.lower()),
            address=row.address.lower(),
            channel=channel,
            action=action,
            how=how,
            source=source,
            actor=actor,
            ip=ip,
            occurred_at=occurred_at,
            recorded_at=now,
        )
        for row in rows
    ]
    decisions.keep(scope=scope, evidence=evidence)
    ids = sorted({person_id for person_id, _ in owners})
    if ids:
        facts.record_suppressed(
            scope=scope, person_ids=ids, channel=channel, reason=reason, occurred_at=occurred_at, source=source[:80],
            now=now,
        )  # fmt: skip


def _other_address(text: str) -> str:
    """A phone number or a user id, as it is written."""
    plain = text.strip().lower()
    if not 1 <= len(plain) <= ADDRESS_CHARS_MAX:
        detail = f"An address has 1 to {ADDRESS_CHARS_MAX} characters."
        raise Invalid(detail, problems=(FieldProblem("#/address", "invalid_address", detail),))
    return plain


def _plain_address(text: str) -> str:
    try:
        return wire_address(text).text.lower()
    except BadAddress as problem:
        raise Invalid(
            f"{text[:100]!r} is not an email address.",
            problems=(FieldProblem("#/address", "invalid_address", str(problem)),),
        ) from None
