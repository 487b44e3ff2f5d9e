"""Globex: another workspace on the free plan, whose one campaign is larger than the plan. Acme must see none of it."""

from contextlib import suppress
from datetime import datetime, timedelta

from campaigns import launch
from lamba_campaigns.embedded.seed import content, lamba, people, play
from lamba_campaigns.embedded.seed.accounts import OLD, Place
from limits.refusal import PlanLimitExceeded

PEOPLE = 700


def fill(places: dict[str, Place], *, now: datetime) -> int:
    """People, one template, one audience and a draft that the plan has refused; how many people there are."""
    place = places["production"]
    persons = people.made_up(workspace="globex", count=PEOPLE, now=now)
    lamba.settle_in(place=place, persons=persons, filename="people.csv", began=now - OLD + timedelta(hours=1))
    stage = play.set_up(place, (content.NEWS,), (content.EVERYBODY,), now - OLD + timedelta(hours=2))
    made = play.draft(
        stage, "To everybody", template=content.NEWS, audience=content.EVERYBODY, now=now - timedelta(hours=3)
    )
    if made is not None:
        with suppress(PlanLimitExceeded):  # as it is meant: the refusal stands in the audit trail
            launch.request_launch(
                scope=place.scope,
                actor=place.actor,
                campaign_id=made.public_id,
                version=made.state_version,
                now=now - timedelta(hours=2),
            )
    return PEOPLE
