"""Audiences in versions: what is kept, what is refused, and that a refusal changes nothing."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from audiences import definitions, uses
from audiences.models import Audience, AudienceVersion
from audiences.uses import Use
from audit.models import AuditEntry
from lamba_campaigns.lib.errors import Invalid, NotFound, Stale
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db(transaction=True)
GERMANY = {"all": [{"field": "country", "op": "is", "value": "DE"}]}
FRANCE = {"all": [{"field": "country", "op": "is", "value": "FR"}]}


@pytest.fixture
def audience(scope: Scope, actor: Actor, now: datetime) -> Audience:
    return definitions.create(scope=scope, actor=actor, name=" Annual  plans ", rule=GERMANY, now=now)


@pytest.fixture
def scheduled() -> Iterator[list[int]]:
    """Audience primary keys that a scheduled campaign uses."""
    keys: list[int] = []

    def provider(scope: Scope, audience_ids: Any) -> dict[int, list[Use]]:
        use = Use("Spring", "scheduled", "campaign-detail", "cmp_1", scheduled=True)
        return {key: [use] for key in audience_ids if key in keys}

    uses.register_uses(provider)
    yield keys
    uses._use_providers.remove(provider)


def versions(audience: Audience) -> list[AudienceVersion]:
    return list(AudienceVersion.objects.across_environments("test").filter(audience=audience).order_by("number"))


def entries() -> list[tuple[str, Any, Any]]:
    return [(entry.action, entry.before, entry.after) for entry in AuditEntry.objects.order_by("id")]


def update(scope: Scope, actor: Actor, audience: Audience, **changes: Any) -> Audience:
    asked = {"state_version": audience.state_version, "now": datetime(2026, 11, 24).astimezone(), **changes}
    return definitions.update(scope=scope, actor=actor, audience_id=audience.public_id, **asked)


def test_a_new_audience_has_one_version_and_one_audit_entry(audience: Audience, scope: Scope) -> None:
    (version,) = versions(audience)
    assert (audience.name, audience.version, audience.state_version) == ("Annual plans", 1, 1)
    assert (version.number, version.rule, version.created_by) == (1, GERMANY, "Alice")
    assert version.sentence == "People where country is Germany"
    assert [action for action, _, _ in entries()] == ["audience.created"]
    assert entries()[0][2]["ruleDigest"] == bytes(version.digest).hex()


def test_another_rule_is_another_version(audience: Audience, scope: Scope, actor: Actor) -> None:
    changed = update(scope, actor, audience, rule=FRANCE)
    assert (changed.version, changed.state_version) == (2, 2)
    assert [version.rule for version in versions(audience)] == [GERMANY, FRANCE]
    action, before, after = entries()[-1]
    assert (action, before["version"], after["version"]) == ("audience.updated", 1, 2)


def test_the_same_rule_and_name_change_nothing(audience: Audience, scope: Scope, actor: Actor) -> None:
    changed = update(scope, actor, audience, rule=GERMANY, name="Annual plans")
    assert (changed.version, changed.state_version) == (1, 1)
    assert len(entries()) == 1


def test_a_new_name_is_no_new_version(audience: Audience, scope: Scope, actor: Actor) -> None:
    changed = update(scope, actor, audience, name="Yearly", description="Who pays by the year")
    assert (changed.name, changed.version, changed.state_version) == ("Yearly", 1, 2)


def test_a_stale_change_is_refused_and_nothing_moves(audience: Audience, scope: Scope, actor: Actor) -> None:
    update(scope, actor, audience, name="Yearly")
    with pytest.raises(Stale):
        update(scope, actor, audience, rule=FRANCE)
    assert len(versions(audience)) == 1
    assert len(entries()) == 2


def test_a_wrong_rule_is_refused_and_nothing_moves(audience: Audience, scope: Scope, actor: Actor) -> None:
    with pytest.raises(Invalid) as caught:
        update(scope, actor, audience, name="Other", rule={"all": [{"field": "moon", "op": "is"}]})
    assert caught.value.problems[0].pointer == "#/rule/all/0/field"
    assert Audience.objects.within(scope).get().name == "Annual plans"


@pytest.mark.parametrize("name", ["", "   ", "x" * 121])
def test_a_name_is_needed(scope: Scope, actor: Actor, now: datetime, name: str) -> None:
    with pytest.raises(Invalid):
        definitions.create(scope=scope, actor=actor, name=name, rule=GERMANY, now=now)
    assert not Audience.objects.within(scope).exists()


def test_a_name_is_taken_once_among_live_audiences(
    audience: Audience, scope: Scope, actor: Actor, now: datetime, world: Any
) -> None:
    with pytest.raises(definitions.NameTaken):
        definitions.create(scope=scope, actor=actor, name="Annual plans", rule=FRANCE, now=now)
    definitions.create(scope=world.sandbox, actor=actor, name="Annual plans", rule=FRANCE, now=now)
    definitions.archive(scope=scope, actor=actor, audience_id=audience.public_id, state_version=1, now=now)
    assert definitions.create(scope=scope, actor=actor, name="Annual plans", rule=FRANCE, now=now).pk


def test_a_change_under_a_scheduled_campaign_needs_a_yes(
    audience: Audience, scope: Scope, actor: Actor, scheduled: list[int]
) -> None:
    scheduled.append(audience.pk)
    with pytest.raises(definitions.AudienceInUse) as caught:
        update(scope, actor, audience, rule=FRANCE)
    assert "“Spring”" in caught.value.detail
    assert len(versions(audience)) == 1
    assert update(scope, actor, audience, name="A name needs no yes").version == 1
    current = Audience.objects.within(scope).get()
    assert update(scope, actor, current, rule=FRANCE, confirmed=True).version == 2


def test_an_audience_of_a_scheduled_campaign_is_not_deleted(
    audience: Audience, scope: Scope, actor: Actor, scheduled: list[int], now: datetime
) -> None:
    scheduled.append(audience.pk)
    with pytest.raises(definitions.AudienceInUse):
        definitions.archive(scope=scope, actor=actor, audience_id=audience.public_id, state_version=1, now=now)
    assert Audience.objects.within(scope).get().deleted_at is None


def test_a_deleted_audience_is_gone_but_its_versions_stay(
    audience: Audience, scope: Scope, actor: Actor, now: datetime
) -> None:
    definitions.archive(scope=scope, actor=actor, audience_id=audience.public_id, state_version=1, now=now)
    with pytest.raises(NotFound):
        definitions.find(scope=scope, audience_id=audience.public_id)
    assert len(versions(audience)) == 1
    assert entries()[-1][0] == "audience.deleted"


def test_another_environment_finds_nothing(audience: Audience, world: Any, actor: Actor, now: datetime) -> None:
    for elsewhere in (world.sandbox, world.stranger):
        with pytest.raises(NotFound):
            update(elsewhere, actor, audience, rule=FRANCE)
    assert len(versions(audience)) == 1


def test_a_version_can_not_be_changed(audience: Audience) -> None:
    (version,) = versions(audience)
    with pytest.raises(DatabaseError), transaction.atomic():
        AudienceVersion.objects.across_environments("test").filter(pk=version.pk).update(sentence="Nobody")
    assert versions(audience)[0].sentence == "People where country is Germany"


def test_the_time_of_a_change_is_the_time_that_was_passed_in(
    audience: Audience, scope: Scope, actor: Actor, now: datetime
) -> None:
    later = now + timedelta(hours=3)
    update(scope, actor, audience, rule=FRANCE, now=later)
    assert versions(audience)[1].created_at == later
    assert Audience.objects.within(scope).get().updated_at == later
