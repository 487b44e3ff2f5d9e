"""The demo is the same one on every machine: what it sends does not depend on how long a turn takes."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, Postbox, fresh
from delivery import deliver
from delivery.models import JobState
from lamba_campaigns.embedded.seed import acme, play

PEOPLE = 180
A_MOMENT = 132  # two slices of a second at this rate


@pytest.mark.parametrize("seconds", [0.0, 0.7], ids=["fast", "slow"])
def test_a_part_is_the_same_however_long_a_turn_takes_to_begin(
    seconds: float,
    make_draft: MakeDraft,
    launch_it: Callable[..., Campaign],
    postbox: Postbox,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sending = launch_it(make_draft(people=PEOPLE, rate_per_minute=acme.CALM_PER_MINUTE))
    opened = deliver._open

    def slowly(*given: Any) -> Any:
        time.sleep(seconds)
        return opened(*given)

    monkeypatch.setattr(deliver, "_open", slowly)
    play.send_part(sending, now)
    assert len(postbox.received) == A_MOMENT
    play.send(sending, now + timedelta(minutes=3))
    assert len(postbox.received) == PEOPLE
    ended = fresh(sending).job
    assert ended is not None and ended.state == JobState.FINISHED


def test_mail_that_nobody_takes_is_said_and_not_waited_for_ever(
    make_draft: MakeDraft, launch_it: Callable[..., Campaign], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = launch_it(make_draft())
    monkeypatch.setattr(play, "SEND_SECONDS_MAX", 0)
    with pytest.raises(play.NotSent, match="did not leave within 0 seconds"):
        play.send_part(sending, now)
