"""Acme: five thousand people, and a campaign in every stage of its life."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns import launch
from lamba_campaigns.embedded.seed import content, lamba, people, play
from lamba_campaigns.embedded.seed.accounts import OLD, Place
from lamba_campaigns.embedded.seed.play import Stage

PEOPLE = 5_000
SANDBOX_PEOPLE = 40
SET_UP = timedelta(hours=1)  # from the first sign-in to the first people
SLOW_PER_MINUTE = 60  # slow enough that somebody who has just signed in can watch it
CALM_PER_MINUTE = 4_000  # a moment's part, two slices of a second, is never all of an audience


@dataclass(frozen=True, slots=True)
class _Moments:
    """When things happened, seen from the first start."""

    now: datetime

    def ago(self, **ago: float) -> datetime:
        return self.now - timedelta(**ago)


def fill(places: dict[str, Place], *, now: datetime) -> int:
    """Both environments of Acme; how many people there are."""
    _fill_sandbox(places["sandbox"], now)
    production = places["production"]
    persons = people.made_up(workspace="acme", count=PEOPLE, now=now)
    lamba.settle_in(place=production, persons=persons, filename="people-of-acme.csv", began=now - OLD + SET_UP)
    stage = play.set_up(production, content.TEMPLATES, content.AUDIENCES, now - OLD + timedelta(hours=3))
    at = _Moments(now)
    if play.may_send():
        play.wait_for_capture()
        _past(stage, at)
        _present(stage, at)
    _drafts(stage, at)
    return PEOPLE + SANDBOX_PEOPLE


def _past(stage: Stage, at: _Moments) -> None:
    """Ended campaigns: everything arrived; something did not; somebody thought better of it."""
    if made := play.draft(
        stage, "The new editor is here", template=content.NEWS, audience=content.BETA, now=at.ago(days=19, hours=2)
    ):
        when = at.ago(days=19)
        sending = play.start(stage, made, when)
        play.send(sending, when + timedelta(seconds=5))
        play.finish(stage, sending, when + timedelta(minutes=2))
        play.receive(stage, sending, when, _usual_fate)
    if made := play.draft(
        stage,
        "Trial reminder, November",
        template=content.TRIAL,
        audience=content.TRIALS,
        now=at.ago(days=8),
        rate=CALM_PER_MINUTE,
    ):
        when = at.ago(days=7, hours=3)
        sending = play.start(stage, made, when)
        play.send_part(sending, when + timedelta(seconds=5))
        play.receive(stage, sending, when, _slow_fate)
        play.send(sending, when + timedelta(minutes=3))
        play.finish(stage, sending, when + timedelta(minutes=5))
    if made := play.draft(
        stage,
        "Renewal, wrong date",
        template=content.RENEWAL,
        audience=content.BETA,
        now=at.ago(days=3, hours=5),
        rate=CALM_PER_MINUTE,
    ):
        when = at.ago(days=3, hours=4)
        sending = play.start(stage, made, when)
        play.send_part(sending, when + timedelta(seconds=5))
        play.cancel(stage, sending, when + timedelta(minutes=1), "The date in the subject is wrong")
        play.receive(stage, sending, when, _usual_fate)


def _present(stage: Stage, at: _Moments) -> None:
    """Paused in the middle, on its way right now, and planned for tomorrow."""
    if made := play.draft(
        stage,
        "Renewal reminder",
        template=content.RENEWAL,
        audience=content.SEEN,
        now=at.ago(hours=2),
        rate=CALM_PER_MINUTE,
    ):
        when = at.ago(hours=1, minutes=10)
        sending = play.start(stage, made, when)
        play.send_part(sending, when + timedelta(seconds=5))
        play.pause(stage, sending, when + timedelta(minutes=1), "Waiting for the new price list")
        play.receive(stage, sending, when, _usual_fate)
    if made := play.draft(
        stage,
        "Tips for the first week",
        template=content.TRIAL,
        audience=content.TRIALS,
        now=at.now,
        rate=SLOW_PER_MINUTE,
    ):
        play.start(stage, made, at.now)
    if made := play.draft(stage, "Autumn release", template=content.NEWS, audience=content.SEEN, now=at.ago(hours=5)):
        launch.request_schedule(
            scope=stage.place.scope,
            actor=stage.place.actor,
            campaign_id=made.public_id,
            at=_tomorrow_morning(stage, at.now),
            time_zone=stage.place.scope.time_zone,
            version=made.state_version,
            now=at.ago(hours=4),
        )


def _drafts(stage: Stage, at: _Moments) -> None:
    play.draft(stage, "Season's greetings", template=content.NEWS, audience=content.SEEN, now=at.ago(days=1))
    play.draft(stage, "Win back", template=None, audience=content.AT_RISK, now=at.ago(minutes=40))


def _fill_sandbox(place: Place, now: datetime) -> None:
    """A few people and one trial run: what a sandbox is for."""
    persons = people.made_up(workspace="acme_test", count=SANDBOX_PEOPLE, now=now)
    lamba.settle_in(place=place, persons=persons, filename="people-for-trials.csv", began=now - OLD + SET_UP)
    stage = play.set_up(place, (content.NEWS,), (content.EVERYBODY,), now - OLD + timedelta(hours=2))
    play.wait_for_capture()
    if made := play.draft(
        stage, "Trial run of the news", template=content.NEWS, audience=content.EVERYBODY, now=now - timedelta(days=20)
    ):
        when = now - timedelta(days=20)
        sending = play.start(stage, made, when)
        play.send(sending, when + timedelta(seconds=5))
        play.finish(stage, sending, when + timedelta(minutes=1))
        play.receive(stage, sending, when, lambda number: ("delivered",))


def _usual_fate(number: int) -> tuple[str, ...]:
    usual: dict[int, tuple[str, ...]] = {
        7: ("bounced",),
        23: ("delivered", "complained"),
        41: ("deferred", "delivered"),
        53: ("delivered", "unsubscribed"),
    }
    return usual.get(number % 60, ("delivered",))


def _slow_fate(number: int) -> tuple[str, ...]:
    """Some mailboxes are full and stay so."""
    return ("deferred",) if number % 37 == 5 else _usual_fate(number)


def _tomorrow_morning(stage: Stage, now: datetime) -> datetime:
    local: Any = (now + timedelta(days=1)).astimezone(stage.place.scope.zone)
    moment: datetime = local.replace(hour=9, minute=30, second=0, microsecond=0)
    return moment.astimezone(now.tzinfo)
