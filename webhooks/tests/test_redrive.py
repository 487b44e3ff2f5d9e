"""Events that were set aside are processed again: with a reason, audited, in their own environment alone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from conftest import World
from lamba_campaigns.lib.errors import Invalid, NotFound
from projects.scoping import Actor, Scope
from webhooks import process, redrive
from webhooks.dead_letters import Selection
from webhooks.registry import Event
from webhooks.tests.conftest import Sender
from webhooks.tests.inbox_rows import entries, one, soon

pytestmark = pytest.mark.django_db
Handler = Callable[..., list[Event]]


def test_a_redrive_needs_a_reason_is_audited_and_runs_again(
    lamba: Sender, scope: Scope, actor: Actor, now: datetime, handler: Handler
) -> None:
    broken = [True]

    def write(scope: Scope, events: Any) -> None:
        if broken:
            raise RuntimeError("bug")

    handler("user.created", do=write)
    lamba.post(lamba.envelope(id="evt_1"))
    for minutes in (0, 1, 2):
        process.run(now=soon() + timedelta(minutes=minutes))
    assert one(scope).state == "parked"

    with pytest.raises(Invalid):
        redrive.redrive(scope=scope, actor=actor, event_ids=["evt_1"], reason="  ", now=now)
    assert redrive.select(scope=scope, selection=Selection()) == ["evt_1"]
    assert [each.outcome for each in entries(scope, "webhook.redriven")] == ["refused"]
    broken.clear()
    assert redrive.redrive(scope=scope, actor=actor, event_ids=["evt_1"], reason="Fixed in 1.2", now=now) == ["evt_1"]
    process.run(now=soon())

    assert (one(scope).state, one(scope).attempts) == ("processed", 1)
    [_, entry] = entries(scope, "webhook.redriven")
    assert (entry.reason, (entry.before or {})["state"]) == ("Fixed in 1.2", "parked")


def test_a_redrive_reaches_only_its_own_environment_and_unsettled_events(
    lamba: Sender, world: World, actor: Actor, now: datetime, handler: Handler
) -> None:
    handler("user.created")
    lamba.post(lamba.envelope(id="evt_1"))
    process.run(now=soon())

    with pytest.raises(NotFound):
        redrive.redrive(scope=world.sandbox, actor=actor, event_ids=["evt_1"], reason="x", now=now)
    with pytest.raises(redrive.NothingToRedrive):
        redrive.redrive(scope=world.production, actor=actor, event_ids=["evt_1"], reason="x", now=now)
