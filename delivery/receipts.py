"""What providers say about messages: recorded once, matched by the token in the Message-ID, merged by rank.

A receipt of a message that is in flight waits (NotYet): its outcome is not written yet. One that matches nothing of
ours is kept as it is, for reconciliation to explain.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from audiences import contacts
from audit import ledger
from delivery import balances, consent, news, statements, tokens
from delivery.accounts import Account, Overlay
from delivery.breaker import Notes
from delivery.merging import TYPES, Fact, Standing, merge
from delivery.models import SendJob, Suppression
from delivery.windows import HARD_CODES
from lamba_campaigns.lib.sql import require_transaction
from projects.scoping import Scope
from webhooks.registry import Event, NotYet

TEXT_CHARS_MAX = 300
SOFT_BOUNCES_MAX = 5  # in a row, and the address is tried no more
SOFT_BOUNCE_WINDOW = timedelta(days=30)
Place = tuple[int, int]  # job, position
_CONTACTS = {"message.opened": contacts.record_opened, "message.clicked": contacts.record_clicked}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt, read. `place` is None when its Message-ID is not one of ours, here."""

    event: Event
    place: Place | None
    message_id: str
    recipient: str
    code: str
    detail: str

    @property
    def fact(self) -> Fact:
        account, rank, overlay = TYPES[self.event.type]
        return Fact(account, rank, self.event.occurred_at, overlay, self.code, self.detail)


@dataclass(slots=True)
class _Message:
    """A locked message row, before and after."""

    place: Place
    person_id: int
    address: str
    before: Standing
    after: Standing
    receipts: list[Receipt] = field(default_factory=list)


def record(*, scope: Scope, events: Sequence[Event], now: datetime) -> int:
    """Every receipt is stored, every message moved as far as it says, books and consent with it.

    Returns how many receipts were new. Called in the transaction of the event queue; NotYet rolls all of it back.
    """
    require_transaction()
    receipts = _new(scope, {event.id: _read(scope, event) for event in events})
    messages = _lock(scope, receipts)
    for message in messages.values():
        if message.before.account is Account.IN_FLIGHT:
            raise NotYet(f"message {message.place[1]} of job {message.place[0]} is in flight")
        message.after = merge(message.before, [receipt.fact for receipt in message.receipts])
    _write(scope, [message for message in messages.values() if message.after != message.before])
    _tell_contacts(scope, messages.values())
    _post(scope, messages.values(), now)
    _act_on_consent(scope, messages.values(), now)
    news.publish(scope=scope, receipts=receipts, people={m.place: m.person_id for m in messages.values()}, now=now)
    return len(receipts)


def insert(*, scope: Scope, events: Sequence[Event]) -> int:
    """The bare rows, of those that nobody had recorded before; how many. No message, book or consent moves."""
    require_transaction()
    return len(_new(scope, {event.id: _read(scope, event) for event in events}))


def _read(scope: Scope, event: Event) -> Receipt:
    data = event.data
    message_id = _text(data, "messageId")
    reference = tokens.read_message_id(message_id)
    ours = reference is not None and reference.environment_id == scope.environment_id
    return Receipt(
        event=event,
        place=(reference.job_id, reference.number) if reference is not None and ours else None,
        message_id=message_id,
        recipient=_text(data, "recipient"),
        code=_text(data, "code"),
        detail=_text(data, "detail"),
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")[:TEXT_CHARS_MAX]


def _new(scope: Scope, read: Mapping[str, Receipt]) -> list[Receipt]:
    """Insert them all; the ones that nobody had recorded before, oldest first."""
    rows = list(read.values())
    found = statements.rows(
        "insert_receipts",
        {
            "environment": scope.environment_id,
            "received": [row.event.received_at for row in rows],
            "event_ids": [row.event.id for row in rows],
            "types": [row.event.type for row in rows],
            "jobs": [row.place[0] if row.place else None for row in rows],
            "positions": [row.place[1] if row.place else None for row in rows],
            "message_ids": [row.message_id for row in rows],
            "recipients": [row.recipient for row in rows],
            "codes": [row.code for row in rows],
            "details": [row.detail for row in rows],
            "times": [row.event.occurred_at for row in rows],
        },
    )
    return sorted((read[event_id] for (event_id,) in found), key=lambda row: (row.event.occurred_at, row.event.id))


def _lock(scope: Scope, receipts: Sequence[Receipt]) -> dict[Place, _Message]:
    places = sorted({receipt.place for receipt in receipts if receipt.place})
    if not places:
        return {}
    params = {"jobs": [place[0] for place in places], "positions": [place[1] for place in places]}
    found = statements.rows("lock_messages", params | {"environment": scope.environment_id})
    messages: dict[Place, _Message] = {}
    for (
        job_id,
        position,
        person_id,
        address,
        account,
        rank,
        settled_at,
        overlays,
        waits,
        code,
        detail,
    ) in found:
        standing = Standing(Account(account), rank, settled_at, overlays, waits, code, detail)
        messages[job_id, position] = _Message((job_id, position), person_id, address, standing, standing)
    for receipt in receipts:
        if receipt.place in messages:
            messages[receipt.place].receipts.append(receipt)
        elif receipt.place is not None:
            raise NotYet(f"message {receipt.place[1]} of job {receipt.place[0]} is not claimed yet")
    return messages


def _write(scope: Scope, changed: Sequence[_Message]) -> None:
    if not changed:
        return
    statements.count(
        "merge_messages",
        {
            "environment": scope.environment_id,
            "jobs": [message.place[0] for message in changed],
            "positions": [message.place[1] for message in changed],
            "accounts": [int(message.after.account) for message in changed],
            "ranks": [message.after.rank for message in changed],
            "settled": [message.after.settled_at for message in changed],
            "overlays": [message.after.overlays for message in changed],
            "waiting": [message.after.retrying for message in changed],
            "codes": [message.after.code for message in changed],
            "details": [message.after.detail for message in changed],
            "last": [max(receipt.event.occurred_at for receipt in message.receipts) for message in changed],
        },
    )


def _tell_contacts(scope: Scope, messages: Iterable[_Message]) -> None:
    """Who opened or clicked, for the rules that ask about it. Before the books, in the order of the locks."""
    found: dict[tuple[int, str], dict[int, datetime]] = defaultdict(dict)
    for message in messages:
        for receipt in message.receipts:
            if receipt.event.type in _CONTACTS:
                people, moment = found[message.place[0], receipt.event.type], receipt.event.occurred_at
                people[message.person_id] = min(moment, people.get(message.person_id, moment))
    subjects = dict(SendJob.objects.within(scope).filter(pk__in={job for job, _ in found}).values_list("pk", "subject"))
    for (job_id, kind), people in sorted(found.items()):
        record = _CONTACTS[kind]
        ids = sorted(people)
        record(scope=scope, subject=subjects[job_id], person_ids=ids, at=[people[each] for each in ids])


def _post(scope: Scope, messages: Iterable[_Message], now: datetime) -> None:
    """Ledger and counters of every job that something changed in, jobs in order of their ids."""
    by_job: dict[int, list[_Message]] = defaultdict(list)
    for message in messages:
        if message.after != message.before:
            by_job[message.place[0]].append(message)
    for job_id, changed in sorted(by_job.items()):
        moved = [message for message in changed if message.after.account != message.before.account]
        if moved:
            new = ledger.post(scope=scope, job_id=job_id, postings=[_posting(message) for message in moved], now=now)
            assert new == len(moved), "a receipt is new once, so its posting is"
        _note(scope, job_id, changed)
        changes: Counter[Account] = Counter()
        for message in moved:
            changes[message.before.account] -= 1
            changes[message.after.account] += 1
        balances.move(
            job_id=job_id,
            changes=changes,
            retrying=-sum(message.before.retrying and not message.after.retrying for message in changed),
            overlays=_overlays(changed),
            now=now,
        )


def _note(scope: Scope, job_id: int, changed: Iterable[_Message]) -> None:
    """Bounces and complaints, for the stop rules."""
    notes = Notes()
    for message in changed:
        bounced = message.after.account is Account.BOUNCED and message.before.account is not Account.BOUNCED
        complained = bool(message.after.overlays & ~message.before.overlays & Overlay.COMPLAINED)
        if bounced or complained:
            note = notes.of(message.address)
            note.bounced += bounced
            note.complained += complained
    notes.write(scope=scope, job_id=job_id)


def _posting(message: _Message) -> ledger.Posting:
    """Keyed by the receipt that decided it: the same one can never be new again."""
    cause = next(each for each in message.receipts if each.event.occurred_at == message.after.settled_at)
    name = hashlib.sha256(cause.event.id.encode()).hexdigest()[:32]
    source, target = message.before.account.ledger, message.after.account.ledger
    return ledger.Posting(
        f"r{message.place[1]}:{name}", source, target, 1, cause.event.type, occurred_at=cause.event.occurred_at
    )


def _overlays(changed: Iterable[_Message]) -> Counter[Overlay]:
    found: Counter[Overlay] = Counter()
    for message in changed:
        for overlay in Overlay:
            found[overlay] += bool(message.after.overlays & ~message.before.overlays & overlay)
    return found


def _act_on_consent(scope: Scope, messages: Iterable[_Message], now: datetime) -> None:
    """Hard bounces and complaints suppress the address, an unsubscribe the person: before the next micro-batch."""
    for message in messages:
        for receipt in message.receipts:
            _act(scope, message, receipt, now)


def _act(scope: Scope, message: _Message, receipt: Receipt, now: datetime) -> None:
    kind, moment = receipt.event.type, receipt.event.occurred_at
    if kind == "message.unsubscribed":
        consent.unsubscribe(
            scope=scope,
            people={message.person_id: message.address},
            channel=_channel(scope, message.place[0]),
            how="receipt",
            source=receipt.event.id,
            job_id=message.place[0],
            occurred_at=moment,
            now=now,
        )
    elif kind == "message.bounced" and receipt.code not in HARD_CODES and _bounces_on(scope, message, moment):
        consent.suppress_automatically(
            scope=scope,
            addresses={message.address: f"Bounced {SOFT_BOUNCES_MAX} times in a row. {receipt.detail}"},
            channel=_channel(scope, message.place[0]),
            reason=Suppression.Reason.HARD_BOUNCE,
            source=receipt.event.id,
            occurred_at=moment,
            now=now,
        )
    elif kind == "message.complained" or (kind == "message.bounced" and receipt.code in HARD_CODES):
        complained = kind == "message.complained"
        consent.suppress_automatically(
            scope=scope,
            addresses={message.address: receipt.detail},
            channel=_channel(scope, message.place[0]),
            reason=Suppression.Reason.COMPLAINT if complained else Suppression.Reason.HARD_BOUNCE,
            source=receipt.event.id,
            occurred_at=moment,
            now=now,
        )


def _bounces_on(scope: Scope, message: _Message, moment: datetime) -> bool:
    """Whether the last five messages to this person of which we know the end all bounced, within thirty days."""
    where = {
        "environment": scope.environment_id,
        "person": message.person_id,
        "address": message.address,
        "since": moment - SOFT_BOUNCE_WINDOW,
        "most": SOFT_BOUNCES_MAX,
    }
    found = statements.rows("last_ends_of_person", where)
    return len(found) == SOFT_BOUNCES_MAX and all(account == Account.BOUNCED for (account,) in found)


def _channel(scope: Scope, job_id: int) -> str:
    channel: str = SendJob.objects.within(scope).values_list("channel", flat=True).get(pk=job_id)
    return channel
