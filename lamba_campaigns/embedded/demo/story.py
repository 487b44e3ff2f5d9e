"""The main job, step by step: events in, audience, 402 and its remedy, launch, pause, resume, receipts, closing."""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

from lamba_campaigns.embedded.demo import lamba, provider
from lamba_campaigns.embedded.demo.rest import Refused, Rest, expect, wait_for
from lamba_campaigns.embedded.demo.stage import Stage

RATE_PER_MINUTE = 9_000  # slow enough to pause in the middle
DRAIN_SECONDS_MAX = 120
SEND_SECONDS_MAX = 180
SETTLE_SECONDS_MAX = 120
STILL_SECONDS = 3
ENDED = ("completed", "completed_with_exceptions")


@dataclass
class Told:
    """What the outside did and expects; the proof holds it against what the product says."""

    stories: list[lamba.Story] = field(default_factory=list)
    sent_events: int = 0
    astray_events: int = 0
    campaign: str = ""
    refusals: list[dict[str, Any]] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    receipts: int = 0
    killed: bool = False

    @property
    def expected(self) -> set[str]:
        """Addresses of everybody who must get the mail."""
        return {story.email for story in self.stories if story.outcome == "included" and story.email}


def tell_events(stage: Stage, told: Told, *, people: int) -> str:
    """Post everybody's events: shuffled, some twice, one forged, one of the sandbox; wait until all are processed."""
    told.stories = list(lamba.stories(stage.lamba, people=people, seed=stage.slug))
    events = [event for story in told.stories for event in story.events]
    answers = stage.lamba.deliver(lamba.delivery_order(events, seed=stage.slug))
    told.sent_events = len(events)
    expect(set(answers) <= {200, 202}, f"signed events were answered {dict(answers)}")
    with requests.Session() as session:
        forged = stage.lamba.post(session, events[0] | {"id": "evt_forged"}, secret="whsec_somebody_else")  # noqa: S106
        expect(forged == 401, f"a forged event was answered {forged}")
        astray = stage.astray.post(session, stage.astray.envelope("user.created", {"userId": "x"}, lamba.now()))
        expect(astray in (200, 202), f"an event of the other environment was answered {astray}")
        told.astray_events = 1
    wait_for("all events to be processed", lambda: _drained(stage.rest), seconds=DRAIN_SECONDS_MAX)
    return f"{sum(answers.values()):,} deliveries, {answers[200]:,} twice, 1 forged refused, 1 astray set aside"


def _drained(rest: Rest) -> bool | None:
    waiting = [
        state for state in ("received", "processing", "retry") if rest.get("/inbound-events", state=state)["items"]
    ]
    return True if not waiting else None


def prepare(stage: Stage, told: Told) -> str:
    """Template, audience and campaign by REST."""
    template = stage.rest.post(
        "/templates",
        {
            "name": "Renewal reminder",
            "subject": "{{ person.given_name | default: 'Hello' }}, your plan renews soon",
            "preheader": "Nothing to do if all is well.",
            "body": "Hello {{ person.given_name | default: 'there' }},\n\nyour plan renews **next week**.\n\n"
            "[See your plan](https://app.acme.example/plan)",
        },
        once=f"template-{stage.slug}",
    )
    rule = {
        "all": [
            {"field": "segment", "op": "is", "value": f"demo-{stage.slug}"},
            {"field": "lifecycle", "op": "is", "value": "customer"},
            {"field": "last_session", "op": "within_last", "value": 30},
        ]
    }
    audience = stage.rest.post(
        "/audiences", {"name": "Customers seen this month", "rule": rule}, once=f"audience-{stage.slug}"
    )
    campaign = stage.rest.post(
        "/campaigns",
        {
            "name": "Renewal reminder, November",
            "templateId": template["id"],
            "audienceId": audience["id"],
            "ratePerMinute": RATE_PER_MINUTE,
        },
        once=f"campaign-{stage.slug}",
    )
    told.campaign = campaign["id"]
    return f"{campaign['name']} to {audience['name']}"


def launch(stage: Stage, told: Told) -> str:
    """Launch: the free plan refuses with 402; do what its first remedy says; launch again."""
    try:
        _launch(stage.rest, told)
    except Refused as refusal:
        expect(refusal.status == 402, f"the launch was refused with {refusal}")
        told.refusals.append(refusal.problem)
    expect(bool(told.refusals), "the free plan let a launch through that it can't carry")
    remedy = told.refusals[0]["remedies"][0]
    expect(remedy["kind"] == "upgrade", f"the first remedy is {remedy}")
    stage.rest.patch("/plan", {"plan": remedy["plan"]})
    _launch(stage.rest, told)
    limits = ", ".join(each["limit"] for each in told.refusals[0]["violations"])
    return f"402 over {limits}; upgraded to {remedy['plan']}; launched"


def _launch(rest: Rest, told: Told) -> None:
    campaign = rest.get(f"/campaigns/{told.campaign}")
    rest.post(f"/campaigns/{told.campaign}/launch", etag=campaign["etag"])


def pause_and_resume(stage: Stage, told: Told) -> str:
    """Pause in the middle; nothing leaves while paused; resume."""
    wait_for("a third to be accepted", lambda: _reached(stage.rest, told, 1 / 3), seconds=SEND_SECONDS_MAX)
    _act(stage.rest, told, "pause")
    wait_for("the pause", lambda: _in_state(stage.rest, told, "paused"), seconds=SEND_SECONDS_MAX)
    before = sum(1 for _ in stage.rest.every("/captured-mails", limit=200))
    time.sleep(STILL_SECONDS)
    after = sum(1 for _ in stage.rest.every("/captured-mails", limit=200))
    expect(before == after, f"{after - before} mails left while the campaign was paused")
    _act(stage.rest, told, "resume")
    return f"still at {before:,} mails for {STILL_SECONDS} s"


def kill_worker(stage: Stage, told: Told) -> str:
    """kill -9 the process group of the delivery worker while it sends."""
    wait_for("half to be accepted", lambda: _reached(stage.rest, told, 1 / 2), seconds=SEND_SECONDS_MAX)
    pid = stage.instance.pid_of("delivery")
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    told.killed = True
    return f"process group {pid} is gone"


def receive(stage: Stage, told: Told) -> str:
    """Wait until sending has ended, then post a receipt for every mail that arrived; wait until the books are still."""
    ended = wait_for("the campaign to end", lambda: _ended(stage.rest, told), seconds=SEND_SECONDS_MAX)
    mails = list(stage.rest.every("/captured-mails", limit=200))
    events, told.ends = provider.receipts(stage.provider, mails)
    answers = provider.post(stage.provider, events, seed=stage.slug)
    expect(set(answers) <= {200, 202}, f"signed receipts were answered {dict(answers)}")
    told.receipts = len(events)
    wait_for("the receipts to be processed", lambda: _drained(stage.rest), seconds=DRAIN_SECONDS_MAX)
    wait_for("the books to settle", lambda: _settled(stage.rest, told), seconds=SETTLE_SECONDS_MAX)
    return f"{ended.replace('_', ' ')}; {len(events):,} receipts for {len(mails):,} mails"


def _reached(rest: Rest, told: Told, share: float) -> bool | None:
    balance = rest.get(f"/campaigns/{told.campaign}")["balance"]
    if balance is None:
        return None
    return True if balance["accounts"]["pending"] <= (1 - share) * (balance["planned"] - balance["excluded"]) else None


def _in_state(rest: Rest, told: Told, *states: str) -> str | None:
    state: str = rest.get(f"/campaigns/{told.campaign}")["state"]
    return state if state in states else None


def _ended(rest: Rest, told: Told) -> str | None:
    return _in_state(rest, told, *ENDED)


def _settled(rest: Rest, told: Told) -> bool | None:
    accounts = rest.get(f"/campaigns/{told.campaign}/books")["accounts"]
    moving = accounts["pending"] + accounts["in_flight"] + accounts["accepted"] + accounts["deferred"]
    return True if moving == 0 else None


def _act(rest: Rest, told: Told, action: str) -> None:
    etag = rest.get(f"/campaigns/{told.campaign}")["etag"]
    rest.post(f"/campaigns/{told.campaign}/{action}", etag=etag)
