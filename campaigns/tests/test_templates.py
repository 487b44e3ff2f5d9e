"""A version, once published, never changes; what can't be sent can't be published."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from audit.models import AuditEntry
from campaigns import previews, promotion, templates
from campaigns.models import Template, TemplateVersion
from campaigns.templates import Message, TemplateArchived, TemplateChanged, TemplateNameTaken
from campaigns.tests.conftest import MESSAGE, MakePeople, MakeTemplate
from conftest import World
from lamba_campaigns.lib.errors import Invalid
from limits import usage
from limits.reservations import PlanLimitExceeded
from projects.access import Access
from projects.roles import ROLES
from projects.scoping import Actor, Scope


def held(scope: Scope, now: datetime) -> int:
    return next(each for each in usage.usage(scope=scope, now=now) if each.key == "templates").current


def test_a_version_can_be_neither_changed_nor_deleted(scope: Scope, growth: None, make_template: MakeTemplate) -> None:
    template = make_template()
    version = TemplateVersion.objects.within(scope).get(template=template)

    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        TemplateVersion.objects.within(scope).filter(pk=version.pk).update(subject="Other")
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        TemplateVersion.objects.within(scope).filter(pk=version.pk).delete()


@pytest.mark.parametrize(
    ("message", "pointer", "code"),
    [
        (Message("Hi {{ person.shoe_size }}", "", "Text"), "#/subject", "unknown_variable"),
        (Message("Hi", "", "{{ account_manager }} helps"), "#/body", "unknown_variable"),
        (Message("Hi", "", "{% if person.name %}open"), "#/body", "liquid_syntax"),
        (Message("", "", "Text"), "#/subject", "required"),
        (Message("Hi", "", "token: ghp_abcdefghijklmnopqrstuvwxyz0123456789"), "#/body", "secret_detected"),
    ],
)
def test_what_cannot_be_sent_cannot_be_published(
    scope: Scope, actor: Actor, now: datetime, growth: None, message: Message, pointer: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        templates.create(scope=scope, actor=actor, name="News", message=message, publish_it=True, now=now)

    assert (pointer, code) in [(each.pointer, each.code) for each in refused.value.problems]
    assert not Template.objects.within(scope).exists() and held(scope, now) == 0


def test_a_draft_may_hold_errors_and_publishing_takes_the_next_number(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_template: MakeTemplate
) -> None:
    template = make_template()
    given = {"scope": scope, "actor": actor, "template_id": template.public_id, "now": now}

    saved = templates.save_draft(name="News", message=Message("Hi {{ wrong }}", "", ""), version=2, **given)  # type: ignore[arg-type]
    assert templates.current(scope=scope, template=saved).subject == "Hi {{ wrong }}"
    published = templates.publish(message=MESSAGE, version=saved.state_version, **given)  # type: ignore[arg-type]

    assert published.number == 2 and published.variables == ["person.given_name"]
    assert templates.find(scope=scope, template_id=template.public_id).draft_saved_at is None
    trail = AuditEntry.objects.filter(subject_id=template.public_id).order_by("sequence")
    assert list(trail.values_list("action", flat=True)) == [
        "template.created",
        "template.updated",
        "template.published",
    ]


def test_a_stale_editor_is_refused(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_template: MakeTemplate
) -> None:
    template = make_template()

    with pytest.raises(TemplateChanged):
        templates.publish(scope=scope, actor=actor, template_id=template.public_id, message=MESSAGE, version=1, now=now)


def test_names_are_unique_among_active_templates(
    scope: Scope, actor: Actor, now: datetime, growth: None, make_template: MakeTemplate
) -> None:
    first = make_template("News")
    with pytest.raises(TemplateNameTaken):
        make_template("News")

    templates.archive(scope=scope, actor=actor, template_id=first.public_id, version=first.state_version, now=now)

    assert make_template("News").latest_number == 1


def test_the_plan_counts_templates_and_archiving_frees_a_place(
    scope: Scope, actor: Actor, now: datetime, plan: Callable[..., None], make_template: MakeTemplate
) -> None:
    plan("starter", at=now - timedelta(days=1), templates=1)
    first = make_template("One")
    with pytest.raises(PlanLimitExceeded):
        make_template("Two")
    assert Template.objects.within(scope).count() == 1 and held(scope, now) == 1

    given = {"scope": scope, "actor": actor, "template_id": first.public_id, "now": now}
    templates.archive(version=first.state_version, **given)  # type: ignore[arg-type]

    assert held(scope, now) == 0
    assert make_template("Two").latest_number == 1
    with pytest.raises(TemplateArchived):
        templates.publish(message=MESSAGE, version=first.state_version + 1, **given)  # type: ignore[arg-type]


def test_a_preview_shows_what_one_person_gets_and_what_is_wrong(
    scope: Scope, growth: None, make_people: MakePeople
) -> None:
    make_people(2)
    message = Message('Hi {{ person.given_name | default: "x" }}', "", "Your {{ manager }} <script>alert(1)</script>")

    shown = previews.preview(scope=scope, message=message, person_id="u1")

    assert shown.subject == "Hi U1"
    assert "⟨manager⟩" in shown.html and "<script" not in shown.html
    assert [problem.code for problem in shown.errors] == ["unknown_variable"]


def test_a_preview_as_somebody_of_another_environment_is_refused(
    scope: Scope, world: World, growth: None, make_people: MakePeople
) -> None:
    make_people(1, within=world.sandbox, prefix="s")

    with pytest.raises(Invalid):
        previews.preview(scope=scope, message=MESSAGE, person_id="s1")


def test_a_copy_from_the_sandbox_takes_words_and_no_people(
    scope: Scope, world: World, actor: Actor, now: datetime, growth: None, make_template: MakeTemplate
) -> None:
    source = make_template("Seats", within=world.sandbox)
    access = Access(scope, actor, ROLES["owner"], "owner")

    made = promotion.copy_template(scope=scope, access=access, template_id=source.public_id, now=now)

    assert (made.environment_id, made.name, made.latest_number) == (scope.environment_id, "Seats", 0)
    assert templates.current(scope=scope, template=made) == MESSAGE
