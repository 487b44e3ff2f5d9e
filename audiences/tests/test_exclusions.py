"""What a campaign leaves out: one reason each in the documented order, and draws that are the same everywhere."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from audiences import contacts, exclusions, preview, snapshot
from audiences.exclusions import POINTS, Exclusions, FrequencyCap, draw, is_held_out, variant
from audiences.models import Audience, AudienceVersion, Snapshot, SnapshotMember
from audiences.reasons import NUMBERS
from audiences.rules.parse import parse
from audiences.rules.vocabulary import load
from audiences.tests.conftest import MakePerson
from projects.scoping import Scope

EVERYBODY: dict[str, Any] = {"all": []}


@pytest.fixture
def version(scope: Scope, now: datetime) -> AudienceVersion:
    where = {"environment_id": scope.environment_id, "created_by": "Alice", "created_at": now}
    audience = Audience.objects.create(**where, name="All", updated_at=now)
    return AudienceVersion.objects.create(
        **where, audience=audience, number=1, rule=EVERYBODY, digest=b"\x01" * 32, sentence="Everybody."
    )


def _take(scope: Scope, version: AudienceVersion, now: datetime, leave_out: Exclusions, purpose: str = "p") -> Snapshot:
    return snapshot.take(
        scope=scope,
        version=version,
        channel="email",
        fields=[],
        purpose=purpose,
        now=now,
        exclusions=leave_out,
        salt="cmp_1",
    )


def _reasons(taken: Snapshot) -> dict[str, int]:
    rows = SnapshotMember.objects.across_environments("a test").filter(snapshot_id=taken.pk).select_related("person")
    return {row.person.external_id: row.reason for row in rows}


def test_who_was_contacted_as_often_as_allowed_is_left_out(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    people = {name: contactable(name).pk for name in ("never", "once", "twice", "long-ago")}
    with transaction.atomic():
        for subject, days, names in (
            ("cmp_a", 6, ["once", "twice", "long-ago"]),
            ("cmp_b", 1, ["twice"]),
            ("cmp_c", 8, ["long-ago", "once"]),
        ):
            at = now - timedelta(days=days)
            contacts.record(scope=scope, subject=subject, person_ids=[people[name] for name in names], at=at)
    taken = _take(scope, version, now, Exclusions(FrequencyCap(messages=2, days=7)))
    assert _reasons(taken) == {"never": 0, "once": 0, "twice": NUMBERS["frequency_cap"], "long-ago": 0}
    assert taken.exclusions == {"frequencyCap": {"messages": 2, "days": 7}}


def test_the_reasons_of_a_campaign_come_last_and_in_their_order(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    everything: dict[str, Any] = {"segment.staff": True}
    people = {
        "no-consent": contactable("no-consent", **everything, **{"consent.email": False}).pk,
        "capped": contactable("capped", **everything).pk,
        "held": contactable("held", **everything).pk,
        "listed": contactable("listed", **everything).pk,
        "fine": contactable("fine").pk,
    }
    with transaction.atomic():
        contacts.record(scope=scope, subject="cmp_a", person_ids=[people["no-consent"], people["capped"]], at=now)
    cap = FrequencyCap(1, 1)
    all_held = _take(scope, version, now, Exclusions(cap, POINTS, ("staff",)), "all")
    assert _reasons(all_held) == {
        "no-consent": NUMBERS["no_consent"], "capped": NUMBERS["frequency_cap"], "held": NUMBERS["held_out"],
        "listed": NUMBERS["held_out"], "fine": NUMBERS["held_out"],
    }  # fmt: skip
    nobody_held = _take(scope, version, now, Exclusions(None, 0, ("staff", "unknown")), "none")
    assert {name for name, reason in _reasons(nobody_held).items() if reason == NUMBERS["excluded_list"]} == {
        "capped", "held", "listed",
    }  # fmt: skip


def test_a_twin_of_a_held_out_person_is_not_reached_instead(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    first = contactable("first", email="same@example.com").pk
    contactable("second", email="SAME@example.com")
    points = draw(salt="cmp_1", what=exclusions.HOLD_OUT, person_id=first) + 1
    reasons = _reasons(_take(scope, version, now, Exclusions(hold_out=points)))
    assert reasons == {"first": NUMBERS["held_out"], "second": NUMBERS["duplicate_address"]}


def test_the_live_count_leaves_out_the_same(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    for number in range(30):
        contactable(f"u{number}", **{"segment.staff": number % 3 == 0})
    leave_out = Exclusions(hold_out=3_000, segments=("staff",))
    taken = _take(scope, version, now, leave_out)
    counted = preview.count(
        scope=scope,
        rule=parse(EVERYBODY, load(scope)),
        channel="email",
        now=now,
        exclusions=leave_out,
        salt="cmp_1",
    )
    assert dict(counted.excluded) == taken.excluded_counts
    assert set(counted.excluded) == {"held_out", "excluded_list"}
    assert not snapshot.verify(scope=scope, snapshot=taken).problems


@given(salt=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), people=st.lists(
    st.integers(1, 2**62), min_size=1, max_size=20
))  # fmt: skip
@pytest.mark.django_db
def test_sql_and_python_draw_alike(salt: str, people: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT audiences_draw(%s, person) FROM unnest(%s::bigint[]) AS person", [f"{salt}:hold-out", people]
        )
        drawn = [row[0] for row in cursor.fetchall()]
    assert drawn == [draw(salt=salt, what="hold-out", person_id=person) for person in people]


def test_draws_are_even_and_independent() -> None:
    people = range(20_000)
    held = {each for each in people if is_held_out(salt="cmp_1", points=1_000, person_id=each)}
    assert 1_850 < len(held) < 2_150
    again = {each for each in people if is_held_out(salt="cmp_2", points=1_000, person_id=each)}
    assert 150 < len(held & again) < 250
    drawn = [variant(salt="cmp_1", points=3_000, person_id=each) for each in people]
    assert round(drawn.count("b") / len(drawn), 2) == 0.3 and set(drawn) == {"a", "b"}
    assert 0.25 < sum(drawn[each] == "b" for each in held) / len(held) < 0.35


def test_exclusions_survive_their_json() -> None:
    whole = Exclusions(FrequencyCap(2, 7), 500, ("a", "b"), "news")
    assert Exclusions.from_json(whole.as_json()) == whole
    assert Exclusions.from_json({}) == exclusions.NOTHING
    assert not exclusions.NOTHING and exclusions.NOTHING.as_json() == {}


def test_a_split_freezes_the_variant_of_every_member_as_python_draws_it(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    people = [contactable(f"u{number}") for number in range(40)]
    contactable("out", **{"consent.email": False})
    taken = snapshot.take(
        scope=scope, version=version, channel="email", fields=["person.name"], purpose="p", now=now, salt="cmp_1",
        split=3_000,
    )  # fmt: skip
    rows = SnapshotMember.objects.within(scope).filter(snapshot_id=taken.pk, position__gt=0)
    frozen = dict(rows.values_list("person_id", "fields__variant"))
    assert frozen == {each.pk: variant(salt="cmp_1", points=3_000, person_id=each.pk) for each in people}
    counted = [list(frozen.values()).count(name) for name in ("a", "b")]
    assert taken.split == {"points": 3_000, "a": counted[0], "b": counted[1]} and sum(counted) == taken.included
    assert not snapshot.verify(scope=scope, snapshot=taken).problems


@pytest.mark.django_db(transaction=True)
def test_cancelling_in_the_middle_leaves_nothing(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    contactable("u1")
    begun = Event()

    def run() -> str:
        try:
            begun.set()
            _take(scope, version, now, exclusions.NOTHING)
        except snapshot.TakeCancelled as stopped:
            return stopped.code
        finally:
            connection.close()
        return "taken"

    with ThreadPoolExecutor(1) as pool, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE audiences_personfacts IN ACCESS EXCLUSIVE MODE")  # the taker waits in the middle
        running = pool.submit(run)
        begun.wait(5)
        assert _until(lambda: snapshot.progress(scope=scope, purpose="p") == snapshot.Freezing("matching", 0))
        assert _until(lambda: snapshot.cancel(scope=scope, purpose="p"))
        assert not snapshot.cancel(scope=scope, purpose="another")
        assert running.result(10) == "SNAPSHOT_CANCELLED"
    assert not Snapshot.objects.within(scope).exists()
    assert not SnapshotMember.objects.within(scope).exists()


@pytest.mark.django_db(transaction=True)
def test_what_nobody_wants_any_more_is_not_kept(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson
) -> None:
    contactable("u1")
    with pytest.raises(snapshot.TakeCancelled):
        snapshot.take(
            scope=scope,
            version=version,
            channel="email",
            fields=[],
            purpose="p",
            now=now,
            still_wanted=lambda: False,
        )
    assert not Snapshot.objects.within(scope).exists()
    assert not SnapshotMember.objects.within(scope).exists()


@pytest.mark.django_db(transaction=True)
def test_a_freeze_tells_others_how_many_are_written_and_nothing_of_it_stays(
    scope: Scope, now: datetime, version: AudienceVersion, contactable: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "STEP_PEOPLE", 2)
    for number in range(5):
        contactable(f"u{number}")
    seen: list[Any] = []

    def look() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT objid::bigint FROM pg_locks JOIN pg_database AS d ON d.oid = database"
                " WHERE classid = 1095127639 AND d.datname = current_database() ORDER BY objid::bigint"
            )
            seen.extend(row[0] for row in cursor.fetchall())
        seen.append(snapshot.progress(scope=scope, purpose="p"))
        seen.append(snapshot.progress(scope=scope, purpose="another"))
        connection.close()

    def still_wanted() -> bool:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result(10)
        return True

    snapshot.take(
        scope=scope, version=version, channel="email", fields=[], purpose="p", now=now, still_wanted=still_wanted
    )
    assert seen == [2, 4, snapshot.SEALING, snapshot.Freezing("sealing", 0), None]
    assert snapshot.progress(scope=scope, purpose="p") is None


def _until(found: Callable[[], bool]) -> bool:
    for _ in range(100):
        if found():
            return True
        time.sleep(0.05)
    return False
