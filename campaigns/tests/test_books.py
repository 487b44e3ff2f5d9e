"""A provider that drops, repeats, reorders, delays, mixes up and miscounts: each break comes out exactly."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from audit import ledger, offline_verifier, reconciliation, signatures
from audit.models import AuditEntry, Book, Break, LedgerEntry, Statement
from campaigns import books_outside, books_reports, books_statements, books_waterfall, completion, sweeps
from campaigns.books_outside import SETTLEMENT
from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, fresh
from conftest import World
from delivery import consent, receipts, tokens
from delivery.models import Message, SendJob
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope
from webhooks.registry import Event

pytestmark = pytest.mark.django_db(transaction=True)
Launch = Callable[..., Campaign]
PEOPLE = 120
HOUR = timedelta(hours=1)


@dataclass
class Provider:
    """What reached us, in which order, and what a plain reading of it must find."""

    scope: Scope
    job_id: int
    told: list[tuple[Event, datetime]] = field(default_factory=list)  # with the moment of arrival
    truth: dict[int, set[str]] = field(default_factory=dict)  # position -> final words that arrived
    taken: dict[int, set[datetime]] = field(default_factory=dict)  # position -> moments of acceptance
    orphans: int = 0
    strays: int = 0

    def say(self, position: int, kind: str, at: datetime, *, arrives: datetime | None = None, number: int = 0) -> None:
        token = tokens.token(environment_id=self.scope.environment_id, job_id=self.job_id, position=position)
        self._put(f"evt_{position}_{kind}_{number}", kind, token, at, arrives or at)
        if kind == "accepted":
            self.taken.setdefault(position, set()).add(at)
        else:
            self.truth.setdefault(position, set()).add(kind)

    def say_nonsense(self, at: datetime) -> None:
        self.orphans += 1
        self._put(f"evt_orphan_{self.orphans}", "delivered", "nobody-knows-me", at, at)

    def mix_up(self, other: Scope, at: datetime) -> None:
        self.strays += 1
        token = tokens.token(environment_id=other.environment_id, job_id=self.job_id, position=1)
        self._put(f"evt_stray_{self.strays}", "delivered", token, at, at)

    def _put(self, id: str, kind: str, token: str, at: datetime, arrives: datetime) -> None:
        data = {"messageId": f"<{token}@mail.example>", "recipient": "", "code": "", "detail": ""}
        self.told.append((Event(id, f"message.{kind}", at, arrives, data, "provider"), arrives))

    def deliver(self, chance: random.Random, *, repeat: float) -> None:
        """Everything in any order, a share of it again, in batches of any size."""
        again = chance.sample(self.told, int(repeat * len(self.told)))
        waiting = [*self.told, *again]
        chance.shuffle(waiting)
        while waiting:
            size = chance.randint(1, 40)
            batch, waiting = waiting[:size], waiting[size:]
            for moment in sorted({arrives for _, arrives in batch}):
                events = {event.id: event for event, arrives in batch if arrives == moment}
                with transaction.atomic():
                    receipts.record(scope=self.scope, events=list(events.values()), now=moment)


@pytest.fixture
def sent(make_draft: MakeDraft, launch_it: Launch, send_it: Launch) -> Campaign:
    return send_it(launch_it(make_draft(people=PEOPLE)))


@pytest.fixture
def provider(sent: Campaign, scope: Scope) -> Provider:
    assert sent.job_id is not None
    return Provider(scope, sent.job_id)


def review(campaign: Campaign, scope: Scope, now: datetime) -> dict[tuple[str, str], int]:
    """(type, source) -> messages of the open differences after a reconciliation at `now`."""
    with transaction.atomic():
        completion.review(scope=scope, campaign_id=campaign.public_id, now=now)
    return opened(scope, campaign.job_id)


def opened(scope: Scope, job_id: int | None) -> dict[tuple[str, str], int]:
    found: Counter[tuple[str, str]] = Counter()
    for row in Break.objects.within(scope).filter(job_id=job_id, state="open"):
        found[row.type, row.source] += row.quantity
    return dict(found)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_fault_of_a_provider_is_found_exactly(
    seed: int, sent: Campaign, provider: Provider, scope: Scope, world: World, now: datetime
) -> None:
    chance = random.Random(seed)
    everybody = list(range(1, PEOPLE + 1))
    dropped = set(chance.sample(everybody, 2))  # 1 % and a little: nothing is ever heard of them
    bounced = set(chance.sample(sorted(set(everybody) - dropped), 5))
    twice = set(chance.sample(sorted(set(everybody) - dropped), 4))
    against = set(chance.sample(sorted(set(everybody) - dropped - bounced), 3))
    delayed = set(chance.sample(sorted(set(everybody) - dropped - against - bounced), 6))
    for position in everybody:
        if position in dropped:
            continue
        at = now + timedelta(seconds=position)
        provider.say(position, "accepted", at)
        arrives = now + SETTLEMENT + 2 * HOUR if position in delayed else None
        provider.say(position, "bounced" if position in bounced else "delivered", at + HOUR, arrives=arrives)
        if position in twice:
            provider.say(position, "accepted", at + HOUR, number=2)
        if position in against:
            provider.say(position, "failed", at + 2 * HOUR)
    for _ in range(3):
        provider.say_nonsense(now)
    for _ in range(2):
        provider.mix_up(world.sandbox, now)
    provider.deliver(chance, repeat=0.05)

    later = now + SETTLEMENT + 3 * HOUR
    with transaction.atomic():
        completion.review(scope=scope, campaign_id=sent.public_id, now=later)
    sweeps.review_environments(now=later)

    silent = sum(1 for position in everybody if not provider.truth.get(position))
    expected = {
        ("missing_terminal", "receipts"): silent,
        ("duplicate_send", "receipts"): sum(1 for moments in provider.taken.values() if len(moments) > 1),
        ("state_conflict", "receipts"): sum(1 for words in provider.truth.values() if len(words - {"bounced"}) > 1),
    }
    assert opened(scope, sent.job_id) == expected and set(expected.values()) == {2, 4, 3}
    assert opened(scope, reconciliation.NO_JOB) == {
        ("orphan_receipt", "receipts"): provider.orphans,
        ("scope_mismatch", "receipts"): provider.strays,
    }
    late = Break.objects.within(scope).get(type="late_event")
    assert (late.quantity, late.state, late.resolved_by[:4]) == (len(delayed), "resolved", "stm_")
    book = Book.objects.within(scope).get(job_id=provider.job_id)
    differing = sum(expected.values()) + len(
        delayed
    )  # late ones counted when the run saw them; a statement explained them
    assert (book.residual, book.score) == (0, floor(100 * (1 - differing / PEOPLE)))
    found = ledger.balance(scope=scope, job_id=provider.job_id)
    assert found.accounts["bounced"] == len(bounced) and found.accounts["accepted"] == silent
    assert found.accounts["delivered"] == PEOPLE - len(bounced) - silent


def test_any_order_and_repetition_gives_one_balance(
    sent: Campaign, provider: Provider, scope: Scope, now: datetime
) -> None:
    for position in range(1, PEOPLE + 1):
        for step, kind in enumerate(("accepted", "deferred", "delivered", "bounced")[: 1 + position % 4]):
            provider.say(position, kind, now + step * HOUR)
    provider.deliver(random.Random(7), repeat=0.5)

    found = ledger.balance(scope=scope, job_id=provider.job_id)
    wanted = Counter(
        ("accepted", "deferred", "delivered", "bounced")[position % 4] for position in range(1, PEOPLE + 1)
    )
    assert {name: count for name, count in found.accounts.items() if count} == dict(wanted)
    keys = LedgerEntry.objects.filter(environment_id=scope.environment_id, job_id=provider.job_id)
    assert keys.count() == keys.values("posting_key").distinct().count()


def test_somebody_who_had_unsubscribed_before_their_own_hand_off_is_named(
    sent: Campaign, provider: Provider, scope: Scope, now: datetime
) -> None:
    """The first left before the sending, the second after it, the third between its beginning and their hand-off."""
    rows = Message.objects.filter(environment_id=scope.environment_id, job_id=provider.job_id).order_by("position")
    first, second, third = rows[:3]
    provider.say(third.position, "accepted", now + 2 * HOUR)
    provider.deliver(random.Random(1), repeat=0)
    for who, told in ((first, now - timedelta(days=1)), (second, now + HOUR), (third, now + HOUR)):
        with transaction.atomic():
            consent.unsubscribe(
                scope=scope,
                people={who.person_id: who.address},
                channel="email",
                how="receipt",
                source=f"evt_{who.position}",
                job_id=None,
                occurred_at=told,
                now=now + HOUR,
            )
    assert review(sent, scope, now + 3 * HOUR) == {("unsubscribed_but_sent", "consent"): 2}
    difference = Break.objects.within(scope).get()
    people = books_waterfall.people_of_break(
        scope=scope, campaign=fresh(sent), difference=difference, after=0, size=9, now=now + 3 * HOUR
    )
    assert [each.position for each in people] == [first.position, third.position]


def csv_of(provider: Provider, words: dict[int, str]) -> str:
    lines = ["message_id,status"]
    for position, status in words.items():
        token = tokens.token(environment_id=provider.scope.environment_id, job_id=provider.job_id, position=position)
        lines.append(f"<{token}@mail.example>,{status}")
    return "\n".join(lines)


def test_wrong_counts_of_a_report_are_differences(
    sent: Campaign, provider: Provider, scope: Scope, actor: Actor, now: datetime
) -> None:
    for position in range(1, PEOPLE + 1):
        provider.say(position, "delivered", now)
    provider.deliver(random.Random(3), repeat=0)
    text = csv_of(provider, dict.fromkeys(range(1, PEOPLE - 3), "delivered"))
    text += "\n" + text.splitlines()[1] + "\n<somebody@else>,delivered"

    given = {"scope": scope, "actor": actor, "campaign": fresh(sent), "now": now + HOUR}
    report = books_reports.import_csv(text=text, **given)  # type: ignore[arg-type]
    assert (report.counts, report.unknown, report.repeated) == ({"delivered": PEOPLE - 4}, 1, 1)
    assert books_reports.import_csv(text=text, **given).pk == report.pk  # type: ignore[arg-type]
    assert AuditEntry.objects.filter(action="report.imported").count() == 1
    assert review(sent, scope, now + 2 * HOUR) == {
        ("count_mismatch", "provider"): 4,
        ("duplicate_send", "provider"): 1,
        ("orphan_receipt", "provider"): 1,
    }


@pytest.mark.parametrize("text", ["", "a,b\n1,2", "message_id,status\nx,vanished"])
def test_a_report_that_cannot_be_read_changes_nothing(
    text: str, sent: Campaign, scope: Scope, actor: Actor, now: datetime
) -> None:
    with pytest.raises(Invalid):
        books_reports.import_csv(scope=scope, actor=actor, campaign=fresh(sent), text=text, now=now)
    assert AuditEntry.objects.get(action="report.imported").outcome == "refused"


def test_what_lamba_counted_is_compared(sent: Campaign, scope: Scope, now: datetime) -> None:
    def note(data: dict[str, Any], event: str) -> Any:
        with transaction.atomic():
            told = Event(event, "campaign.sent", now, now, data, "lamba")
            return books_reports.note_lamba(scope=scope, event=told, now=now)

    assert note({"campaignId": sent.public_id, "sent": "many"}, "evt_2") is None
    assert note({"campaignId": sent.public_id, "sent": PEOPLE - 1}, "evt_3") is not None
    assert review(sent, scope, now + HOUR) == {("count_mismatch", "lamba"): 1}


def test_the_statement_is_signed_and_adjusted(
    sent: Campaign, provider: Provider, scope: Scope, now: datetime, tmp_path: Path
) -> None:
    first = Statement.objects.within(scope).get(job_id=sent.job_id)
    assert first.number == 1
    provider.say(1, "bounced", now + HOUR)
    provider.deliver(random.Random(1), repeat=1)
    sweeps.review_books(now=now + 2 * HOUR)
    sweeps.review_books(now=now + 4 * HOUR)

    second = Statement.objects.within(scope).get(job_id=sent.job_id, number=2)
    note = json.loads(bytes(second.note))
    assert note["adjustment"] == {"accounts.accepted": -1, "accounts.bounced": 1}
    assert note["previousSignature"] == bytes(first.signature).hex()
    document = books_statements.signed(scope=scope, campaign=fresh(sent))
    for name, text in (("s.json", json.dumps(document)), ("s.csv", books_statements.as_csv(document))):
        (tmp_path / name).write_text(text)
        assert offline_verifier.verify_file(str(tmp_path / name), [signatures.public_key().hex()]).flaw is None, name
        (tmp_path / name).write_text(text.replace('"bounced": 1', '"bounced": 2').replace("bounced,1", "bounced,2"))
        flaw = offline_verifier.verify_file(str(tmp_path / name)).flaw
        assert flaw is not None and flaw["kind"] == "edited", name


def test_an_explained_difference_is_a_posting(sent: Campaign, scope: Scope, actor: Actor, now: datetime) -> None:
    books_reports.state(scope=scope, actor=actor, campaign=fresh(sent), counts={"handed_over": 1}, now=now)
    assert review(sent, scope, now + HOUR) == {("count_mismatch", "provider"): PEOPLE - 1}
    row = Break.objects.within(scope).get()
    with transaction.atomic():
        reconciliation.assign(scope=scope, actor=actor, break_id=row.public_id, now=now)
        reconciliation.resolve(scope=scope, actor=actor, break_id=row.public_id, reason="A test account.", now=now)

    posting = LedgerEntry.objects.get(posting_key=f"break:{row.public_id}")
    assert (posting.quantity, posting.reason) == (PEOPLE - 1, "count_mismatch")
    assert ledger.balance(scope=scope, job_id=posting.job_id).residual == 0
    row.refresh_from_db(from_queryset=Break.objects.within(scope))
    assert (row.owner_label, row.state, row.resolved_by) == ("Alice", "resolved", actor.id)
    assert review(sent, scope, now + 2 * HOUR) == {}, "explained once, it does not come back"


def test_quiet_environments_have_no_differences(sent: Campaign, scope: Scope, now: datetime) -> None:
    assert books_outside.of_environment(scope=scope) == []
    assert review(sent, scope, now + 30 * SETTLEMENT) == {}, "nobody outside reports here, so nothing is missing"


def test_pages_of_the_books(
    sent: Campaign, provider: Provider, scope: Scope, world: World, now: datetime, browser_of: Callable[..., Any]
) -> None:
    for position in range(1, 5):
        provider.say(position, "delivered", now)
        provider.say(position, "failed", now + HOUR)
    provider.deliver(random.Random(1), repeat=0)
    assert review(sent, scope, now + 2 * HOUR) == {("state_conflict", "receipts"): 4}
    row = Break.objects.within(scope).get()
    browser = browser_of(world.alice)
    base = f"/{scope.path}"

    detail = browser.get(f"{base}/reconciliation/{row.public_id}/").content.decode()
    assert "4 messages have final words" in detail and "@example.com" in detail
    assert "4 messages have final words" in browser.get(f"{base}/reconciliation/").content.decode()
    books = f"{base}/campaigns/{sent.public_id}/books"
    by_domain = browser.get(f"{books}/?by=domain").content.decode()
    assert "example.com" in by_domain and "cell=delivered" in by_domain and "Signed statement 2" in by_domain
    assert "1 to 10" in browser.get(f"{books}/?by=wave").content.decode()
    people = browser.get(f"{books}/people/?cell=delivered&domain=example.com").content.decode()
    assert people.count("@example.com") == 4
    assert "in open differences" in browser.get(f"{books}/").content.decode()

    assert browser.post(f"{base}/reconciliation/{row.public_id}/assign/").status_code == 302
    assert browser.post(f"{base}/reconciliation/{row.public_id}/resolve/", {"reason": " "}).status_code == 422
    assert browser.post(f"{base}/reconciliation/{row.public_id}/resolve/", {"reason": "Known."}).status_code == 302
    assert "Known." in browser.get(f"{base}/reconciliation/{row.public_id}/").content.decode()
    document = json.loads(browser.get(f"{base}/campaigns/{sent.public_id}/books.json").content)
    assert document["statement"]["number"] == 2 and AuditEntry.objects.filter(action="export.made").count() == 1


def test_the_books_by_rest(sent: Campaign, api: Callable[..., Any], world: World) -> None:
    base = f"/api/v1/campaigns/{sent.public_id}"
    assert api().get(f"{base}/statement").json()["statement"]["number"] == 1
    (row,) = api().get(f"{base}/waterfall").json()["items"]
    assert (row["label"], row["messages"], row["cells"]["accepted"]) == ("example.com", PEOPLE, PEOPLE)
    assert len(api().get(f"{base}/waterfall?by=wave").json()["items"]) == books_waterfall.WAVES
    assert api().get(f"{base}/waterfall?by=moon").status_code == 422
    made = api().post(f"{base}/reports", {"counts": {"delivered": 3}}, format="json")
    assert (made.status_code, made.json()["counts"]) == (201, {"delivered": 3})
    for body in ({}, {"counts": {"delivered": 3}, "csv": "message_id,status"}):
        refused = api().post(f"{base}/reports", body, format="json")
        assert [each["pointer"] for each in refused.json()["errors"]] == ["#/counts", "#/csv"], refused.content
    assert api().post(f"{base}/reports", {"counts": {"lost": 1}}, format="json").status_code == 422
    assert api(world.stranger).get(f"{base}/statement").status_code == 404


def test_the_waves_are_those_of_the_sending_rules(sent: Campaign, scope: Scope) -> None:
    SendJob.objects.within(scope).filter(pk=sent.job_id).update(pacing={"waves": [10, 50]})
    rows = books_waterfall.rows(scope=scope, campaign=fresh(sent), by="wave")
    assert [(row.label, row.messages) for row in rows] == [("1 to 10", 10), ("11 to 60", 50), (f"61 to {PEOPLE}", 60)]


@pytest.mark.parametrize("by", ["domain", "wave"])
def test_the_waterfall_always_sums_to_its_messages(
    by: books_waterfall.By, sent: Campaign, provider: Provider, scope: Scope, now: datetime
) -> None:
    for position in range(1, PEOPLE, 3):
        provider.say(position, "bounced" if position % 2 else "delivered", now)
    provider.deliver(random.Random(5), repeat=0)
    rows = books_waterfall.rows(scope=scope, campaign=fresh(sent), by=by)
    assert all(sum(row.cells.values()) == row.messages for row in rows)
    assert sum(row.messages for row in rows) == PEOPLE
