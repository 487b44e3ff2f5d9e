"""An A/B split: who gets which message is drawn once, frozen, sent and shown alike, and the counts add up."""

from collections.abc import Callable
from datetime import datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audiences.exclusions import variant
from audiences.models import Person, SnapshotMember
from campaigns import books_waterfall, drafts, recipients, splitting
from campaigns.models import Campaign, Template
from campaigns.templates import Message
from campaigns.tests.conftest import MakeDraft, MakePeople, MakeTemplate, Postbox
from conftest import World
from delivery import replay
from lamba_campaigns.lib.errors import Invalid
from lamba_campaigns.web.console import url
from projects.scoping import Actor, Scope

OTHER = Message("B for {{ person.family_name | default: 'you' }}", "", "Other **words**, {{ person.given_name }}")


@pytest.fixture
def other(make_template: MakeTemplate) -> Template:
    return make_template("Other words", OTHER)


@pytest.fixture
def ended(
    make_draft: MakeDraft, other: Template, launch_it: Callable[..., Campaign], send_it: Callable[..., Campaign]
) -> Campaign:
    """A campaign of 30 people, about a third of whom got message B."""
    draft = make_draft(people=30, split={"template": other.public_id, "percent": 30})
    return send_it(launch_it(draft))


def test_everybody_gets_the_message_that_was_drawn_and_frozen(scope: Scope, ended: Campaign, postbox: Postbox) -> None:
    drawn = {
        person.email: variant(salt=ended.public_id, points=3_000, person_id=person.pk)
        for person in Person.objects.within(scope)
    }
    assert set(drawn.values()) == {"a", "b"}
    assert ended.snapshot is not None and ended.job is not None
    frozen = SnapshotMember.objects.within(scope).filter(snapshot_id=ended.snapshot.pk, position__gt=0)
    assert dict(frozen.values_list("address", "fields__variant")) == drawn
    for position, address in frozen.values_list("position", "address"):
        mail = message_from_bytes(
            replay.sent(scope=scope, job=ended.job, position=position).data, policy=policy.default
        )
        assert str(mail["Subject"]).startswith("B for you") == (drawn[address] == "b")
    rows = recipients.page(scope=scope, campaign=ended, outcome="", after=None, size=100).rows
    assert {row.address: row.variant for row in rows} == drawn


def test_the_counts_of_both_messages_add_up_everywhere(scope: Scope, ended: Campaign) -> None:
    assert ended.snapshot is not None
    sides = splitting.sides(drafts.find(scope=scope, campaign_id=ended.public_id))
    assert [side["variant"] for side in sides] == ["a", "b"]
    assert sum(side["people"] for side in sides) == ended.snapshot.included == 30
    found = drafts.find(scope=scope, campaign_id=ended.public_id)
    rows = books_waterfall.rows(scope=scope, campaign=found, by="variant")
    assert [(row.label, row.messages) for row in rows] == [
        (f"{side['label']}: {side['version'].template.name}", side["people"]) for side in sides
    ]
    assert sum(row.cells["accepted"] for row in rows) == 30


def test_pages_and_rest_show_both_messages(
    scope: Scope, world: World, browser_of: Callable[[User], Client], api: Any, ended: Campaign
) -> None:
    alice = browser_of(world.alice)
    page = alice.get(url(scope, "campaign-detail", ended.public_id)).content.decode()
    assert "Message B" in page and "Other words v1" in page
    assert "By message" in alice.get(url(scope, "campaign-books", ended.public_id) + "?by=variant").content.decode()
    read = api().get(f"/api/v1/campaigns/{ended.public_id}").json()["split"]
    assert (read["templateName"], read["percent"], sum(read["people"].values())) == ("Other words", 30, 30)
    rows = api().get(f"/api/v1/campaigns/{ended.public_id}/recipients?limit=100").json()["items"]
    assert {row["variant"] for row in rows} == {"a", "b"}
    exported = alice.get(url(scope, "campaign-recipients-csv", ended.public_id))
    assert ",variant," in b"".join(exported.streaming_content).decode()  # type: ignore[attr-defined]


def test_a_split_needs_two_messages_and_a_share(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, other: Template
) -> None:
    draft = make_draft(people=1)
    wrong: list[dict[str, Any]] = [
        {"template": "tpl_nobody", "percent": 20}, {"template": other.public_id, "percent": 0},
        {"template": other.public_id, "percent": 100},
    ]  # fmt: skip
    for split in wrong:
        with pytest.raises(Invalid):
            drafts.edit(
                scope=scope, actor=actor, campaign_id=draft.public_id, changes={"split": split}, version=1, now=now
            )
    alone = {"split": {"template": other.public_id, "percent": 20}, "template": None, "template_version": None}
    with pytest.raises(Invalid, match="values are not valid"):
        drafts.edit(scope=scope, actor=actor, campaign_id=draft.public_id, changes=alone, version=1, now=now)


def test_the_form_keeps_the_split_and_its_version(
    scope: Scope, world: World, browser_of: Callable[[User], Client], make_draft: MakeDraft, make_people: MakePeople,
    other: Template,
) -> None:  # fmt: skip
    draft = make_draft(people=2, split={"template": other.public_id, "percent": 25})
    page = browser_of(world.alice).get(url(scope, "campaign-edit", draft.public_id)).content.decode()
    assert "A/B split" in page and f'<option value="{other.public_id}" selected' in page
    copied = drafts.copy(
        scope=scope, actor=Actor("user", "usr_1", "Alice", "console"), campaign_id=draft.public_id, now=draft.created_at
    )
    assert splitting.split_of(copied) == {"split": {"template": other.public_id, "version": 1, "percent": 25}}
