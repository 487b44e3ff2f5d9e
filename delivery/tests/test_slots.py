"""Connections to a relay are shared: all workers together never open more than it takes, and each gets some."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from benchmarks._sink import Sink
from delivery import defaults
from delivery import deliver as engine
from delivery.channels.base import NoRoom
from delivery.models import RelayUse, SendJob
from delivery.pacing import rules
from delivery.slots import Share
from delivery.tests import nursery
from delivery.tests.conftest import Postbox, counters, state
from delivery.tests.workshop import gone, until
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db(transaction=True)
RELAY = "relay.example:25"


def share(scope: Scope, owner: str, most: int = 8, within: int | None = None) -> Share:
    return Share(scope, RELAY, owner, most, within or most)


def test_who_comes_later_gets_a_fair_part_as_soon_as_it_is_given_back(scope: Scope) -> None:
    first, second = share(scope, "one"), share(scope, "two")
    assert first.ask(opened=0) == 8
    with pytest.raises(NoRoom, match="Other workers use all connections"):
        second.ask(opened=0)
    assert (first.ask(opened=8), first.fair) == (8, 4)  # it may close four before it asks again
    assert first.ask(opened=4) == 4
    assert second.ask(opened=0) == 4
    first.leave()
    assert second.ask(opened=4) == 8
    second.leave()
    assert not RelayUse.objects.exists()


def test_many_processes_never_have_more_than_the_relay_takes(scope: Scope) -> None:
    granted = 0
    for number in range(7):
        one = share(scope, f"process {number}", most=3)
        try:
            granted += one.ask(opened=0)
        except NoRoom:
            continue
    assert granted == 3


def test_an_environment_has_its_own_limit_beside_that_of_the_relay(world: Any) -> None:
    one, two = share(world.production, "one", within=2), share(world.production, "two", within=2)
    other = share(world.sandbox, "three")
    assert one.ask(opened=0) == 2
    with pytest.raises(NoRoom):
        two.ask(opened=0)
    assert other.ask(opened=0) == 2  # a fair part of eight, for three who want some
    one.leave()
    assert two.ask(opened=0) == 2


def test_a_process_that_is_gone_holds_nothing_when_its_time_is_over(scope: Scope) -> None:
    assert share(scope, "dead").ask(opened=0) == 8
    with connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_relayuse SET until = now() - interval '1 second'")
    assert share(scope, "alive").ask(opened=0) == 8


@dataclass
class Door:
    """A relay that counts how many connections are open."""

    url: str
    now: int = 0
    most: int = 0


@pytest.fixture
def door(settings: Any) -> Iterator[Door]:
    found, ready, loop = Door(""), threading.Event(), asyncio.new_event_loop()

    class Counting(Sink):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            found.now += 1
            found.most = max(found.most, found.now)
            super().connection_made(transport)

        def connection_lost(self, problem: Exception | None) -> None:
            found.now -= 1

    async def serve() -> None:
        server = await loop.create_server(Counting, "127.0.0.1", 0)
        found.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?connections=4"
        ready.set()
        await server.serve_forever()

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)

    serving = loop.create_task(serve())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(5)
    yield found
    loop.call_soon_threadsafe(serving.cancel)
    thread.join(5)
    loop.close()


@pytest.mark.slow
def test_three_workers_share_four_connections_and_all_of_them_send(
    make_job: Callable[..., SendJob], door: Door, database_url: str
) -> None:
    job = make_job(16_000, rate_per_minute=240_000)
    owners: set[str] = set()

    def look() -> bool:
        uses = list(RelayUse.objects.values_list("owner", "connections"))
        assert sum(count for _, count in uses) <= 4
        owners.update(owner for owner, count in uses if count)
        crew[:] = [start(job) if gone(pid) else pid for pid in crew]  # who found no room is rung again
        return state(job) == "finished"

    with nursery.running(database_url=database_url, mail_url=door.url) as start:
        crew = [start(job) for _ in range(3)]
        until(look, seconds=120)
        until(lambda: all(map(gone, crew)))
    assert door.most <= 4
    assert counters(job) == {"accepted": 16_000}
    assert not RelayUse.objects.filter(connections__gt=0).exists()
    assert len(owners) >= 2


def test_a_job_without_room_waits_for_the_next_ring_and_is_not_held(
    scope: Scope, actor: Actor, now: datetime, make_job: Callable[..., SendJob], postbox: Postbox, settings: Any
) -> None:
    place = settings.EMAIL_URL.removeprefix("smtp://").partition("?")[0]
    other = Share(scope, place, "another", 2, 2)
    other.ask(opened=0)
    job = make_job(20)

    assert engine.deliver(job_id=job.pk, seconds=5) is False

    job.refresh_from_db()
    assert (postbox.received, job.held_until, state(job)) == ([], None, "sending")
    other.leave()
    engine.deliver(job_id=job.pk, seconds=5)
    assert (len(postbox.received), state(job)) == (20, "finished")


def test_domain_limits_of_the_environment_hold_where_a_campaign_names_none(
    scope: Scope, actor: Actor, now: datetime
) -> None:
    defaults.change(
        scope=scope, actor=actor, stop_limits={}, connections=None, version=0, now=now,
        domain_limits={"gmail.com": 600, "web.de": 60},
    )  # fmt: skip
    own = rules.read({"domainLimits": {"web.de": 30}}, time_zone="UTC")

    found = defaults.with_domains(own, scope=scope)

    assert found.limits == {"gmail.com": 600, "web.de": 30}
    kept = rules.of_job(rules.kept(found))
    assert kept is not None and kept.limits == found.limits
    many = {f"d{number}.example": 5 for number in range(50)}
    crowded = rules.limited(rules.read({"domainLimits": many}, time_zone="UTC"), {"gmail.com": 600})
    again = rules.of_job(rules.kept(crowded))
    assert again is not None and len(again.limits) == 51
