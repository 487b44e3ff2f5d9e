"""The engine: claim a chunk by lease, then micro-batch by micro-batch: intent durable, hand over, outcomes durable.

One transaction closes a window and opens the next one, so that a micro-batch costs one commit. A crash anywhere leaves
at most the open window uncertain. Pause, cancel, unsubscribes and rate limits act before the next window.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from delivery import breaker, finishing, statements, tokens, windows
from delivery.channels import email_channel, ways
from delivery.channels.base import Channel, ChannelDown, Handed, NoRoom, Outcome
from delivery.channels.ways import Way
from delivery.content.composing import Composer, composer_of
from delivery.content.mime import BadAddress, Envelope
from delivery.content.rendering import RenderFailed
from delivery.installation import OtherInstallation
from delivery.models import JobState, SendJob
from delivery.pacing.turnstile import turnstile
from delivery.unsubscribing import link
from delivery.windows import Changes, Lease, LeaseLost, Member, Window
from lamba_campaigns.lib.sql import durable
from projects.access import scope_by_id
from projects.scoping import Scope

TURN_SECONDS_MAX = 8  # then the worker is free for another job, or to stop
HOLD_SECONDS = 20  # between tries of a provider that takes nothing
OUTAGE_SECONDS_MAX = 30.0  # that outcomes wait in memory for the database
OUTAGE_WAIT_SECONDS = 0.5
WAIT_SECONDS_MAX = 1.0  # a longer wait for the rate limit gives the chunk back

_log = logging.getLogger(__name__)
Clock = Callable[[], datetime]


@dataclass(slots=True)
class _Desk:
    """What one turn on a job works with. `size` follows the speed of the relay."""

    scope: Scope
    job: SendJob
    channel: Channel | Way
    composer: Composer | None  # None: the way renders for itself
    owner: str
    clock: Clock
    size: int = windows.MICRO_BATCH_FIRST


def deliver(*, job_id: int, seconds: float = TURN_SECONDS_MAX, clock: Clock = timezone.now) -> bool:
    """Work on a job for at most `seconds`. True when there may be more to do at once."""
    job = SendJob.objects.across_environments("a task has only the job's id").filter(pk=job_id).first()
    if job is None or job.state != JobState.SENDING:
        return False
    scope = scope_by_id(job.environment_id)
    until = time.monotonic() + seconds
    try:
        desk = _open(scope, job, clock)
        _work(desk, until)
    except (ChannelDown, OtherInstallation) as down:
        _hold(job, str(down), clock)
    except NoRoom as full:
        _log.info("%s The sweep rings again.", full)
    except LeaseLost as lost:
        _log.warning("Lost the lease on %s: its open window is uncertain.", lost)
    finishing.settle(scope=scope, job_id=job_id, now=clock())
    return time.monotonic() >= until


def _work(desk: _Desk, until: float) -> None:
    """Chunk after chunk, until the time is over or there is nothing to take."""
    try:
        while time.monotonic() < until:
            desk.channel.ready()
            if not _one_chunk(desk, until):
                break
    finally:
        if isinstance(desk.channel, Channel):
            desk.channel.leave()


def _open(scope: Scope, job: SendJob, clock: Clock) -> _Desk:
    way = ways.of(scope=scope, job=job)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    if way is not None:
        return _Desk(scope, job, way, None, owner, clock)
    return _Desk(scope, job, email_channel(scope), composer_of(scope=scope, job=job), owner, clock)


def _one_chunk(desk: _Desk, until: float) -> bool:
    """Retries that are due, else the next chunk to its end. False when there is nothing to take."""
    now = desk.clock()
    with durable():
        window = windows.claim_retries(scope=desk.scope, job=desk.job, owner=desk.owner, size=desk.size, now=now)
        lease = window.lease if window else windows.claim_chunk(job=desk.job, owner=desk.owner, now=now)
    if lease is None:
        return False
    outcomes: Sequence[Outcome] = _hand_over(desk, window) if window else ()
    while True:
        step = _step(desk, lease, window, outcomes, turn_ends=until)
        if step is None:
            return True
        window = step
        outcomes = _hand_over(desk, window)


def _step(
    desk: _Desk, lease: Lease, window: Window | None, outcomes: Sequence[Outcome], *, turn_ends: float
) -> Window | None:
    """Close the window and open the next. None: the chunk is given back. What became of people is known only here, so
    a database that is away for a moment is waited for; if it did commit, the fence and the watermark tell."""
    until = time.monotonic() + OUTAGE_SECONDS_MAX
    while True:
        try:
            if isinstance(desk.channel, Channel):
                desk.channel.keep()
            more = time.monotonic() < turn_ends
            opened, wait = _close_and_open(desk, lease, window, outcomes, more=more)
        except (OperationalError, InterfaceError) as problem:
            if connection.in_atomic_block or time.monotonic() > until:
                raise
            _log.warning("The database is away, trying again: %s", problem)
            connection.close()
            time.sleep(OUTAGE_WAIT_SECONDS)
            continue
        if any(outcome.kind not in ("accepted", "deferred") for outcome in outcomes):
            breaker.check(scope=desk.scope, job=desk.job, now=desk.clock())
        if not wait:
            return opened
        window, outcomes = None, ()
        time.sleep(min(WAIT_SECONDS_MAX, windows.paced_for(job_id=desk.job.pk, now=desk.clock()).total_seconds()))


def _close_and_open(
    desk: _Desk, lease: Lease, window: Window | None, outcomes: Sequence[Outcome], *, more: bool
) -> tuple[Window | None, bool]:
    """One transaction. The next window, and whether to wait a moment for one."""
    now, changes = desk.clock(), Changes()
    with durable():
        mark, last = windows.renew(lease=lease, window=window)
        if window is not None:
            windows.settle(scope=desk.scope, job=desk.job, window=window, outcomes=outcomes, changes=changes, now=now)
        opened = _next(desk, lease, mark, last, changes, now) if more and mark < last else None
        wait = opened is None and more and mark < last and _must_wait(desk, now)
        if opened is None and not wait:
            windows.end(lease=lease)
        changes.flush(scope=desk.scope, job_id=desk.job.pk, now=now)
        if window is not None:
            windows.suppress_hard_bounces(scope=desk.scope, job=desk.job, window=window, outcomes=outcomes, now=now)
    return opened, wait


def _next(desk: _Desk, lease: Lease, mark: int, last: int, changes: Changes, now: datetime) -> Window | None:
    """The next window, if the job still sends and its rules about pace have room."""
    state, rate, held = statements.rows("job_control", {"job": desk.job.pk, "now": now})[0]
    if state != JobState.SENDING or held:
        return None
    gate = turnstile(scope=desk.scope, job=desk.job, now=now)
    room = gate.room(min(desk.size, last - mark)) if gate else desk.size
    count = windows.paced(job_id=desk.job.pk, rate=rate, size=room, now=now) if room else 0
    if not count:
        return None
    where = {"first": mark + 1, "last": min(mark + count, last)}
    return windows.claim(scope=desk.scope, job=desk.job, lease=lease, changes=changes, now=now, gate=gate, **where)


def _must_wait(desk: _Desk, now: datetime) -> bool:
    """Nothing could be claimed because of the rate limit, and only for a moment."""
    state, rate, held = statements.rows("job_control", {"job": desk.job.pk, "now": now})[0]
    if state != JobState.SENDING or held or rate is None:
        return False
    return windows.paced_for(job_id=desk.job.pk, now=now).total_seconds() <= WAIT_SECONDS_MAX


def _hand_over(desk: _Desk, window: Window) -> list[Outcome]:
    """Render and send a window; one outcome for each member, in order, outside any transaction."""
    began = time.monotonic()
    channel = desk.channel
    handed = (
        _mail(desk, channel, window)
        if isinstance(channel, Channel)
        else channel.hand_over(window.members, now=window.at)
    )
    if 2 * len(window.members) >= desk.size:  # a short rest of a chunk says little
        desk.size = windows.next_size(size=len(window.members), seconds=time.monotonic() - began)
    if handed.down:
        _hold(desk.job, handed.down, desk.clock)
    return handed.outcomes


def _mail(desk: _Desk, channel: Channel, window: Window) -> Handed:
    """By SMTP: every message is complete before the first one leaves. Nothing here touches the database."""
    numbers = [member.position for member in window.members]
    where = {"environment_id": desk.scope.environment_id, "job_id": desk.job.pk}
    marks = tokens.tokens("message", numbers=numbers, **where)
    links = tokens.tokens("unsubscribe", numbers=[member.person_id for member in window.members], **where)
    outcomes: dict[int, Outcome] = {}
    assert desk.composer is not None
    batch, date = [], desk.composer.dated(window.at)
    for member, mark, unsubscribe in zip(window.members, marks, links, strict=True):
        made = _envelope(desk.composer, member, mark, link(unsubscribe), date)
        if isinstance(made, Outcome):
            outcomes[member.position] = made
        else:
            batch.append(made)
    handed = channel.send_batch(batch)
    outcomes |= {item.position: outcome for item, outcome in zip(batch, handed.outcomes, strict=True)}
    return Handed([outcomes[member.position] for member in window.members], handed.down)


def _envelope(composer: Composer, member: Member, mark: str, unsubscribe_url: str, date: bytes) -> Envelope | Outcome:
    try:
        return composer.envelope(
            position=member.position,
            recipient=member.address,
            fields=member.fields,
            token=mark,
            unsubscribe_url=unsubscribe_url,
            date=date,
        )
    except RenderFailed as problem:
        return Outcome("failed", "template", str(problem))
    except BadAddress as problem:
        return Outcome("failed", "5.1.3", str(problem))


def _hold(job: SendJob, reason: str, clock: Clock) -> None:
    """Nobody claims from this job for a while: the provider takes nothing from anybody."""
    _log.warning("Holding %s for %s seconds: %s", job.public_id, HOLD_SECONDS, reason)
    until = clock() + timedelta(seconds=HOLD_SECONDS)
    with durable():
        statements.count("hold_job", {"job": job.pk, "until": until, "reason": reason[:300]})
