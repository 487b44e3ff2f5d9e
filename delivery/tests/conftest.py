"""A snapshot of people who may be mailed, a job on it, and SMTP servers that behave as badly as they are told."""

import asyncio
import email
import socket
from collections.abc import Callable, Iterator
from datetime import date, datetime
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.db import connection, transaction

from audiences.models import Audience, AudienceVersion, Snapshot
from benchmarks import _sink
from delivery import deliver as engine
from delivery import jobs
from delivery.channels import smtp
from delivery.content.rendering import Content
from delivery.models import JobCounters, Message, SendJob
from delivery.tests import nursery
from projects.scoping import Actor, Scope

MONTH = date(2026, 11, 1)
CONTENT = Content(
    subject='Hello {{ person.given_name | default: "there" }}',
    preheader="News",
    body='Hi **{{ person.given_name | default: "there" }}**, [look](https://acme.example/?u={{ person.email }}).',
    from_name="Acme",
    from_address="hello@acme.example",
)


class Postbox:
    """An SMTP server in a thread that keeps what it accepts. `faults` maps a hook to what it does instead."""

    def __init__(self, *, pipelining: bool = True) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.pipelining = pipelining
        self.rcpt: Callable[[str], str | None] = lambda address: None
        self.data: Callable[[Any, Any], Any] = lambda server, envelope: None
        self.mail: Callable[[str], str | None] = lambda address: None
        self.connections = 0

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> Any:
        self.connections += 1
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self.pipelining else responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        refused = self.mail(address)
        if refused:
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        refused = self.rcpt(address)
        if refused == "close":
            server.transport.abort()
            return "421 4.3.2 closing"
        if refused:
            return refused
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.data(server, envelope)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer is None or answer == "drop":
            self.received.append((envelope.rcpt_tos[0], envelope.original_content))
        if answer == "drop":
            server.transport.abort()
        return answer if answer and answer != "drop" else "250 2.0.0 Queued"

    def addresses(self) -> list[str]:
        return sorted(address for address, _ in self.received)

    def messages(self) -> list[EmailMessage]:
        return [email.message_from_bytes(raw, policy=policy.default) for _, raw in self.received]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def postbox(settings: Any) -> Iterator[Postbox]:
    """A relay that takes everything; production and sandbox both send to it."""
    box = Postbox()
    port = free_port()
    server = Controller(box, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    server.start()
    settings.EMAIL_URL = settings.CAPTURE_URL = f"smtp://127.0.0.1:{port}?connections=2"
    yield box
    smtp.channel(settings.EMAIL_URL).close()
    server.stop()


@pytest.fixture
def sink(settings: Any) -> Iterator[_sink.Handle]:
    """A process that takes every mail and counts."""
    with _sink.running() as found:
        settings.EMAIL_URL = settings.CAPTURE_URL = found.url
        yield found
        smtp.channel(found.url).close()


@pytest.fixture
def start(sink: _sink.Handle, database_url: str) -> Iterator[Callable[[SendJob], int]]:
    """start(job) -> the pid of a new worker that sends to the sink."""
    with nursery.running(database_url=database_url, mail_url=sink.url) as worker:
        yield worker


PEOPLE = """
WITH people AS (
    INSERT INTO audiences_person (environment_id, public_id, external_id, email, given_name, created_at)
    SELECT %(environment)s, format('per_%%s_%%s_%%s', %(environment)s::int, %(prefix)s, n), %(prefix)s || n,
           %(prefix)s || n || '@example.com', upper(%(prefix)s) || n, %(now)s
    FROM generate_series(1, %(count)s) AS n
    RETURNING id
)
INSERT INTO audiences_personfacts (person_id, environment_id, membership, consent_mask, address_state)
SELECT id, %(environment)s, 2, 1, 1 FROM people
RETURNING person_id
"""


@pytest.fixture
def make_people(scope: Scope, now: datetime) -> Callable[..., list[int]]:
    """make_people(3) -> ids of three people who may be mailed, u1@example.com and so on."""

    def make(count: int, within: Scope | None = None, prefix: str = "u") -> list[int]:
        where: dict[str, Any] = {"prefix": prefix, "count": count, "now": now}
        where["environment"] = (within or scope).environment_id
        with connection.cursor() as cursor:
            cursor.execute(PEOPLE, where)
            return sorted(row[0] for row in cursor.fetchall())

    return make


@pytest.fixture
def make_snapshot(scope: Scope, now: datetime, make_people: Callable[..., list[int]]) -> Callable[..., Snapshot]:
    """make_snapshot(3, excluded={"no_consent": 1}) -> a frozen audience of three, and one left out."""
    counter = iter(range(1, 10_000))

    def make(
        included: int, excluded: dict[str, int] | None = None, within: Scope | None = None, people: Any = None
    ) -> Snapshot:
        where = within or scope
        number = next(counter)
        ids = people or make_people(included, where, f"u{number}x" if number > 1 else "u")
        snapshot = _snapshot(where, number, included, excluded or {}, now)
        _members(where, snapshot, ids)
        return snapshot

    return make


def _snapshot(scope: Scope, number: int, included: int, excluded: dict[str, int], now: datetime) -> Snapshot:
    common: dict[str, Any] = {"environment_id": scope.environment_id, "created_by": "Alice", "created_at": now}
    audience = Audience.objects.create(name=f"Everyone {number}", updated_at=now, **common)
    version = AudienceVersion.objects.create(
        audience=audience, number=1, rule={"all": []}, digest=bytes(32), sentence="Everyone", **common
    )
    del common["created_at"]
    return Snapshot.objects.create(
        audience_version=version,
        purpose=f"test:{number}",
        channel="email",
        fields=["person.given_name"],
        taken_at=now,
        taken_month=MONTH,
        planned=included + sum(excluded.values()),
        included=included,
        excluded_counts=excluded,
        rule_digest=bytes(32),
        member_digest=bytes(32),
        watermark="1:1:",
        **common,
    )


def _members(scope: Scope, snapshot: Snapshot, ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS audiences_snapshotmember_2026_11 PARTITION OF audiences_snapshotmember "
            "FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')"
        )
        cursor.execute(
            "INSERT INTO audiences_snapshotmember (taken_month, snapshot_id, position, environment_id, person_id,"
            " reason, address, fields) SELECT %s, %s, row_number() OVER (ORDER BY id), %s, id, 0, email,"
            " jsonb_build_object('given_name', given_name, 'email', email)"
            " FROM audiences_person WHERE id = ANY(%s)",
            [MONTH, snapshot.pk, scope.environment_id, ids],
        )


@pytest.fixture
def make_job(
    scope: Scope, actor: Actor, now: datetime, make_snapshot: Callable[..., Snapshot]
) -> Callable[..., SendJob]:
    """make_job(10, rate_per_minute=60) -> a sending job to ten people."""
    counter = iter(range(1, 10_000))

    def make(
        included: int,
        excluded: dict[str, int] | None = None,
        content: Content = CONTENT,
        within: Scope | None = None,
        people: list[int] | None = None,
        rate_per_minute: int | None = None,
        channel: str = "email",
        **more: Any,
    ) -> SendJob:
        where = within or scope
        with transaction.atomic():
            return jobs.create(
                scope=where,
                actor=actor,
                subject=f"cmp_{next(counter)}",
                title="Spring renewal",
                snapshot=make_snapshot(included, excluded, where, people),
                content=content,
                content_id=1,
                channel=channel,
                rate_per_minute=rate_per_minute,
                now=now,
                **more,
            )

    return make


@pytest.fixture
def deliver(now: datetime) -> Callable[..., None]:
    """deliver(job) -> one worker's turn, at the tests' time."""

    def run(job: SendJob, at: datetime | None = None, seconds: float = 20) -> None:
        engine.deliver(job_id=job.pk, seconds=seconds, clock=lambda: at or now)

    return run


def counters(job: SendJob) -> dict[str, int]:
    """The accounts of a job that are not empty."""
    row = JobCounters.objects.across_environments("one row by its primary key").get(pk=job.pk)
    names = (
        "excluded", "pending", "in_flight", "uncertain", "accepted", "deferred", "delivered", "bounced", "rejected",
        "failed", "cancelled",
    )  # fmt: skip
    return {name: getattr(row, name) for name in names if getattr(row, name)}


def messages(job: SendJob) -> list[Message]:
    return list(Message.objects.filter(job_id=job.pk).order_by("position"))


def state(job: SendJob) -> str:
    return str(SendJob.objects.across_environments("one row by its primary key").get(pk=job.pk).state)
