"""One operator's moves, through the same functions as the console's; each campaign is made once.

A campaign's story is a scene: it says when its next step happens, then takes it. Scenes are played together, so that
everything stands in the audit trail in the order of time, as it would have happened.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings

from audiences import definitions
from audiences.models import Audience
from campaigns import completion, drafts, launch, templates
from campaigns.models import Campaign, State, Template
from delivery import deliver, finishing, tokens, windows
from delivery.accounts import Account
from delivery.models import JobState, Message, SendJob
from lamba_campaigns.embedded.ports import answers
from lamba_campaigns.embedded.seed import lamba
from lamba_campaigns.embedded.seed.accounts import Place
from lamba_campaigns.embedded.seed.content import AudienceText, TemplateText
from lamba_campaigns.embedded.seed.people import Told
from lamba_campaigns.lib.sql import durable

CAPTURE_SECONDS_MAX = 30
SEND_SECONDS_MAX = 600
TURN_SECONDS, TURN_SECONDS_MAX = 0.3, 20
PROVIDER_SECONDS = 40  # from hand-over to the provider's word

Scene = Iterator[datetime]


class NoCapture(RuntimeError):
    """The capture server did not come up."""


class NotSent(RuntimeError):
    """The capture server is up and takes nothing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A place with its templates and audiences by name."""

    place: Place
    templates: dict[str, Template]
    audiences: dict[str, Audience]


def together(scenes: Iterable[Scene]) -> None:
    """Whichever scene has the earliest next step takes it, until all have ended."""
    for _ in heapq.merge(*scenes):
        pass


def may_send() -> bool:
    """Whether the world is ours: production's mail is captured, so that nobody outside gets any."""
    return settings.EMAIL_URL == settings.CAPTURE_URL


def wait_for_capture() -> None:
    address = urlsplit(settings.CAPTURE_URL)
    deadline = time.monotonic() + CAPTURE_SECONDS_MAX
    while not answers(address.port or 25):
        if time.monotonic() > deadline:
            raise NoCapture(f"The capture server at {settings.CAPTURE_URL} did not answer.")
        time.sleep(0.1)


def set_up(place: Place, texts: tuple[TemplateText, ...], rules: tuple[AudienceText, ...], now: datetime) -> Stage:
    """Templates and audiences are there, each with its first version."""
    return Stage(
        place,
        {text.name: _template(place, text, now) for text in texts},
        {text.name: _audience(place, text, now) for text in rules},
    )


def draft(
    stage: Stage,
    name: str,
    *,
    template: TemplateText | None,
    audience: AudienceText | None,
    now: datetime,
    rate: int | None = None,
) -> Campaign | None:
    """A new draft; None when a campaign of this name is there already."""
    scope = stage.place.scope
    if Campaign.objects.within(scope).filter(name=name).exists():
        return None
    setup = drafts.Setup(
        name=name,
        template=stage.templates[template.name].public_id if template else None,
        audience=stage.audiences[audience.name].public_id if audience else None,
        rate_per_minute=rate,
    )
    return drafts.create(scope=scope, actor=stage.place.actor, setup=setup, now=now)


def start(stage: Stage, campaign: Campaign, now: datetime) -> Campaign:
    """Launched, its audience frozen, its job sending."""
    scope = stage.place.scope
    launch.request_launch(
        scope=scope, actor=stage.place.actor, campaign_id=campaign.public_id, version=campaign.state_version, now=now
    )
    launch.run_launch(scope=scope, campaign_id=campaign.pk, now=now + timedelta(seconds=1))
    return fresh(stage, campaign)


def send(campaign: Campaign, now: datetime) -> None:
    """The job is worked on, from `now` on, until it has ended."""
    assert campaign.job is not None
    job = SendJob.objects.across_environments("the demo's own").filter(pk=campaign.job.pk)
    _work(campaign.job, _clock(now), lambda: not job.filter(state=JobState.SENDING).exists())


def send_part(campaign: Campaign, now: datetime) -> None:
    """As `send`, but time stands still: what the campaign's rate allows in one moment has gone, the rest waits."""
    job = campaign.job
    assert job is not None
    _work(job, lambda: now, lambda: windows.paced_for(job_id=job.pk, now=now) > timedelta())


def send_by_minutes(campaign: Campaign, now: datetime, minutes: int) -> Scene:
    """A part in each of the first `minutes` from `now` on."""
    for minute in range(minutes):
        yield (moment := now + timedelta(minutes=minute, seconds=5))
        send_part(campaign, moment)


def _work(job: SendJob, clock: Callable[[], datetime], done: Callable[[], bool]) -> None:
    """Turn by turn until `done`, on a machine of any speed: on a slow one a short turn ends before it has begun."""
    deadline, seconds = time.monotonic() + SEND_SECONDS_MAX, TURN_SECONDS
    held = SendJob.objects.across_environments("the demo's own").filter(pk=job.pk, held_until__isnull=False)
    while not done():
        if time.monotonic() > deadline:
            raise NotSent(f"The demo's mail did not leave within {SEND_SECONDS_MAX} seconds; the logs may say why.")
        held.update(held_until=None)  # the capture server was slow: to wait it out, time would have to move
        deliver.deliver(job_id=job.pk, seconds=seconds, clock=clock)
        seconds = min(2 * seconds, TURN_SECONDS_MAX)


def finish(stage: Stage, campaign: Campaign, now: datetime) -> None:
    """The campaign ended at `now`, if its job did."""
    with durable():
        completion.settle(scope=stage.place.scope, campaign_id=campaign.public_id, now=now)
    lamba.work(now)


def receive(stage: Stage, campaign: Campaign, now: datetime, fate: Callable[[int], tuple[str, ...]]) -> None:
    """The provider's word on every message that it has not spoken of yet; `fate` gives the types for the n-th."""
    lamba.tell(
        place=stage.place,
        endpoint=stage.place.provider_endpoint,
        events=_receipts(stage, campaign, now + timedelta(seconds=PROVIDER_SECONDS), fate),
    )


def pause(stage: Stage, campaign: Campaign, now: datetime, reason: str) -> None:
    """Paused, with nothing on the wire."""
    scope = stage.place.scope
    launch.pause(
        scope=scope, actor=stage.place.actor, campaign_id=campaign.public_id, version=None, now=now, reason=reason
    )
    _follow(stage, campaign, now)


def cancel(stage: Stage, campaign: Campaign, now: datetime, reason: str) -> None:
    """Cancelled; whoever was not contacted will not be."""
    scope = stage.place.scope
    launch.cancel(
        scope=scope, actor=stage.place.actor, campaign_id=campaign.public_id, version=None, now=now, reason=reason
    )
    _follow(stage, campaign, now)


def fresh(stage: Stage, campaign: Campaign) -> Campaign:
    return drafts.find(scope=stage.place.scope, campaign_id=campaign.public_id)


def _follow(stage: Stage, campaign: Campaign, now: datetime) -> None:
    """What the job says when it has drained reaches the campaign."""
    running = fresh(stage, campaign)
    assert running.job is not None
    if running.job.state in (JobState.PAUSING, JobState.CANCELLING):
        finishing.settle(scope=stage.place.scope, job_id=running.job.pk, now=now)
        running = fresh(stage, campaign)
    with durable():
        if running.state == State.PAUSING:
            completion.settle_pause(
                scope=stage.place.scope, campaign_id=campaign.public_id, reason="", now=now + timedelta(seconds=2)
            )
        elif running.state == State.CANCELLING:
            completion.settle(scope=stage.place.scope, campaign_id=campaign.public_id, now=now + timedelta(seconds=2))
    lamba.work(now + timedelta(seconds=2))


def _receipts(stage: Stage, campaign: Campaign, at: datetime, fate: Callable[[int], tuple[str, ...]]) -> Iterator[Told]:
    assert campaign.job is not None
    scope, job = stage.place.scope, campaign.job
    sent = Message.objects.filter(environment_id=scope.environment_id, job_id=job.pk, account=Account.ACCEPTED)
    for number, (position, address) in enumerate(sent.order_by("position").values_list("position", "address")):
        token = tokens.token(environment_id=scope.environment_id, job_id=job.pk, position=position)
        for index, what in enumerate(fate(number)):
            code = {"bounced": "550 5.1.1", "deferred": "451 4.7.1"}.get(what, "250 2.0.0")
            data = {"messageId": f"<{token}@acme.example>", "recipient": address, "code": code, "detail": ""}
            moment = at + timedelta(seconds=number % 600, minutes=index)
            yield Told(f"evt_demo_{job.public_id}_{position}_{index}", f"message.{what}", data, moment)


def _template(place: Place, text: TemplateText, now: datetime) -> Template:
    found: Template | None = Template.objects.within(place.scope).filter(name=text.name).first()
    return found or templates.create(
        scope=place.scope, actor=place.actor, name=text.name, message=text.message, publish_it=True, now=now
    )


def _audience(place: Place, text: AudienceText, now: datetime) -> Audience:
    found: Audience | None = Audience.objects.within(place.scope).filter(name=text.name, deleted_at=None).first()
    return found or definitions.create(
        scope=place.scope, actor=place.actor, name=text.name, description=text.description, rule=text.rule, now=now
    )


def _clock(now: datetime) -> Callable[[], datetime]:
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)
