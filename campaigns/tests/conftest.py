"""Acme on the Growth plan with people, an audience, a published template, and a mail server that takes everything."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from audiences import definitions, facts
from audiences.models import Audience
from campaigns import completion, drafts, launch, templates
from campaigns.drafts import Setup
from campaigns.models import Campaign, Template
from campaigns.templates import Message
from conftest import World
from delivery import deliver as engine
from delivery import finishing
from delivery.models import SendJob
from delivery.tests.conftest import Postbox, postbox
from limits import subscriptions
from projects.scoping import Actor, Scope

__all__ = ["Postbox", "postbox"]

EVERYBODY: dict[str, Any] = {"all": []}
MESSAGE = Message(
    subject='Hello {{ person.given_name | default: "there" }}',
    preheader="News for you",
    body='Hi **{{ person.given_name | default: "there" }}**, [look](https://acme.example/news).',
)
MakePeople = Callable[..., list[int]]
MakeAudience = Callable[..., Audience]
MakeTemplate = Callable[..., Template]
MakeDraft = Callable[..., Campaign]


@pytest.fixture
def plan(world: World, now: datetime) -> Callable[..., None]:
    """plan("starter") -> Acme is on this plan; plan("growth", templates=1) overrides a limit."""

    def put(name: str, at: datetime | None = None, **overrides: int) -> None:
        with transaction.atomic():
            subscriptions.start(
                workspace_id=world.workspace.pk,
                plan=name,
                now=at or now - timedelta(hours=1),
                overrides=dict(overrides),
            )

    return put


@pytest.fixture
def growth(plan: Callable[..., None], now: datetime) -> None:
    plan("growth", at=now - timedelta(days=60))


@pytest.fixture
def make_people(scope: Scope, now: datetime) -> MakePeople:
    """make_people(3, consent=2) -> three active members, two of whom agreed to e-mail."""

    def make(count: int, *, consent: int | None = None, within: Scope | None = None, prefix: str = "u") -> list[int]:
        where = within or scope
        names = [f"{prefix}{number}" for number in range(1, count + 1)]
        agreed = count if consent is None else consent
        with transaction.atomic():
            people = facts.ensure_people(scope=where, people=[facts.Identity(name) for name in names], now=now)
            facts.apply(
                scope=where,
                changes=[
                    facts.Change(people[name], field, value, now, f"evt_{name}_{field}")
                    for place, name in enumerate(names)
                    for field, value in {
                        "membership": "active",
                        "email": f"{name}@example.com",
                        "given_name": name.title(),
                        "consent.email": place < agreed,
                    }.items()
                ],
                now=now,
            )
        return [people[name] for name in names]

    return make


@pytest.fixture
def make_audience(scope: Scope, actor: Actor, now: datetime) -> MakeAudience:
    """make_audience("Everyone") -> an audience of everybody, or of `rule`."""

    def make(name: str = "Everyone", rule: Any = None, within: Scope | None = None) -> Audience:
        return definitions.create(scope=within or scope, actor=actor, name=name, rule=rule or EVERYBODY, now=now)

    return make


@pytest.fixture
def make_template(scope: Scope, actor: Actor, now: datetime) -> MakeTemplate:
    """make_template("News") -> a template with version 1."""

    def make(name: str = "News", message: Message = MESSAGE, within: Scope | None = None) -> Template:
        return templates.create(
            scope=within or scope, actor=actor, name=name, message=message, publish_it=True, now=now
        )

    return make


@pytest.fixture
def make_draft(
    scope: Scope,
    actor: Actor,
    now: datetime,
    growth: None,
    make_people: MakePeople,
    make_audience: MakeAudience,
    make_template: MakeTemplate,
) -> MakeDraft:
    """make_draft(people=3, consent=2) -> a draft that is ready: its audience, template and people exist."""
    made: dict[int, tuple[Template, Audience]] = {}

    def make(
        name: str = "Spring renewal",
        *,
        people: int = 3,
        consent: int | None = None,
        within: Scope | None = None,
        **more: Any,
    ) -> Campaign:
        where = within or scope
        if where.environment_id not in made:
            if people:
                make_people(people, consent=consent, within=where)
            made[where.environment_id] = (make_template(within=where), make_audience(within=where))
        template, audience = made[where.environment_id]
        setup = Setup(name=name, template=template.public_id, audience=audience.public_id, **more)
        return drafts.create(scope=where, actor=actor, setup=setup, now=now)

    return make


@pytest.fixture
def launch_it(scope: Scope, actor: Actor, now: datetime) -> Callable[..., Campaign]:
    """launch_it(draft) -> the campaign, sending: request and worker in one go."""

    def go(draft: Campaign, within: Scope | None = None, at: datetime | None = None) -> Campaign:
        where, moment = within or scope, at or now
        launch.request_launch(
            scope=where, actor=actor, campaign_id=draft.public_id, version=draft.state_version, now=moment
        )
        launch.run_launch(scope=where, campaign_id=draft.pk, now=moment)
        return fresh(draft)

    return go


@pytest.fixture
def send_it(scope: Scope, now: datetime, postbox: Postbox) -> Callable[..., Campaign]:
    """send_it(campaign) -> the same after every message was handed to the mail server and the books closed."""

    def go(campaign: Campaign, within: Scope | None = None, at: datetime | None = None) -> Campaign:
        where, moment = within or scope, at or now
        run_job(campaign, where, moment)
        with transaction.atomic():
            completion.settle(scope=where, campaign_id=campaign.public_id, now=moment)
        return fresh(campaign)

    return go


def run_job(campaign: Campaign, scope: Scope, now: datetime) -> SendJob:
    """Workers take turns until the job has nothing left to hand over."""
    job_id = fresh(campaign).job_id
    assert job_id is not None
    for _ in range(10):
        engine.deliver(job_id=job_id, seconds=20, clock=lambda: now)
        if finishing.settle(scope=scope, job_id=job_id, now=now) in ("finished", "cancelled", "paused"):
            break
    found: SendJob = SendJob.objects.within(scope).get(pk=job_id)
    return found


def fresh(campaign: Campaign) -> Campaign:
    found: Campaign = (
        Campaign.objects.across_environments("one row by its primary key")
        .select_related("template_version__template", "audience", "audience_version", "snapshot", "job")
        .get(pk=campaign.pk)
    )
    return found
