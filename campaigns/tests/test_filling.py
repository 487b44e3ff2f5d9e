"""A message is really filled before anybody gets it: in the preview, at publishing, before the launch."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import transaction

from audiences.models import Person
from campaigns import completion, launch, preflight, previews, templates
from campaigns.checks import Check
from campaigns.models import Campaign, Template, TemplateVersion
from campaigns.templates import Message
from campaigns.tests.conftest import MakeDraft, MakePeople, MakeTemplate, Postbox, fresh, run_job
from lamba_campaigns.lib.errors import Invalid
from projects.scoping import Actor, Scope

ENDLESS = Message("Hi", "", "Hello\n\n{% for i in (1..100000000) %}x{% endfor %}")
LISTED = Message("Hi", "", "{% for each in person.traits.list %}{{ each }}{% endfor %}!")
TODO = "A loop may run 500 times. Give it an end: {% for each in list limit: 50 %}."


def version_of(scope: Scope, template: Template, body: str) -> TemplateVersion:
    """A version from before these checks."""
    made: TemplateVersion = TemplateVersion.objects.create(
        environment_id=scope.environment_id, template=template, number=2, subject="Hi", body=body,
        variables=["person.traits.list"], digest=b"x" * 32, created_by="x", created_at=template.created_at,
    )  # fmt: skip
    return made


def test_a_preview_says_what_can_not_be_filled_and_where(scope: Scope, growth: None, make_people: MakePeople) -> None:
    make_people(1)

    shown = previews.preview(scope=scope, message=ENDLESS, person_id="u1")

    (problem,) = shown.errors
    assert (problem.pointer, problem.code, problem.line) == ("#/body", "cannot_be_filled", 3)
    assert problem.detail == f"A range is longer than a loop may be. {TODO}"
    assert shown.html == "" and shown.brief.text == ""


def test_a_preview_fills_for_the_person_who_is_shown(scope: Scope, growth: None, make_people: MakePeople) -> None:
    make_people(2)
    Person.objects.within(scope).filter(external_id="u1").update(traits={"list": ["x"] * 600})

    assert [each.code for each in previews.preview(scope=scope, message=LISTED, person_id="u1").errors] == [
        "cannot_be_filled"
    ]
    assert previews.preview(scope=scope, message=LISTED, person_id="u2").errors == []


@pytest.mark.parametrize("people", [0, 1])
def test_what_can_not_be_filled_is_not_published(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_people: MakePeople, people: int
) -> None:
    if people:
        make_people(people)
    with pytest.raises(Invalid) as refused:
        templates.create(scope=scope, actor=actor, name="News", message=ENDLESS, publish_it=True, now=now)

    assert [(each.pointer, each.code) for each in refused.value.problems] == [("#/body", "cannot_be_filled")]
    assert "Line 3" in refused.value.problems[0].detail and TODO in refused.value.problems[0].detail
    assert not Template.objects.within(scope).exists()


def test_a_language_that_can_not_be_filled_is_not_published(
    scope: Scope, actor: Actor, now: datetime, growth: None
) -> None:
    words = Message("Hi", "", "Hello", variants={"de": {"subject": "Hi", "body": ENDLESS.body}})
    with pytest.raises(Invalid) as refused:
        templates.create(scope=scope, actor=actor, name="News", message=words, publish_it=True, now=now)

    assert [each.pointer for each in refused.value.problems] == ["#/variants/de/body"]


def test_preflight_fills_for_somebody_of_the_audience(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, make_template: MakeTemplate
) -> None:
    draft = make_draft(people=2)
    version = version_of(scope, make_template("Listed"), LISTED.body)
    Campaign.objects.within(scope).filter(pk=draft.pk).update(template_version=version)
    assert template_check(scope, draft, now).state == "pass"

    Person.objects.within(scope).update(traits={"list": ["x"] * 600})

    assert template_check(scope, draft, now).state == "block"
    assert template_check(scope, draft, now).detail == f"Line 1: loop iteration limit reached. {TODO}"
    with pytest.raises(preflight.NotReady, match="loop iteration limit"):
        launch.request_launch(scope=scope, actor=actor, campaign_id=draft.public_id, version=None, now=now)


def template_check(scope: Scope, draft: Campaign, now: datetime) -> Check:
    report = preflight.report(scope=scope, campaign=fresh(draft), at=now, now=now)
    return next(each for each in report.checks if each.key == "template")


def test_a_campaign_that_stopped_itself_names_the_cause_until_it_goes_on(
    scope: Scope, actor: Actor, now: datetime, make_draft: MakeDraft, launch_it: Callable[..., Campaign],
    postbox: Postbox,
) -> None:  # fmt: skip
    campaign = launch_it(make_draft(people=600))
    postbox.rcpt = lambda address: "554 5.7.1 Blocked by us"
    assert run_job(campaign, scope, now).state == "paused"
    with transaction.atomic():
        completion.settle_pause(scope=scope, campaign_id=campaign.public_id, reason="told", now=now)

    (blocker,) = fresh(campaign).blockers
    assert blocker["errorCode"] == "CAMPAIGN_STOPPED" and "Blocked by us" in blocker["cause"]
    assert blocker["detail"].startswith("100.0% of") and blocker["detail"].endswith(blocker["cause"])
    launch.resume(scope=scope, actor=actor, campaign_id=campaign.public_id, version=None, now=now)
    assert fresh(campaign).blockers == []
