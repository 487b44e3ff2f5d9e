"""Messages through the whole engine: worker processes as the product runs them, a durable Postgres, every row.

A campaign's send job goes to `--messages` people over SMTP into a sink that only counts. Beside it, in the same run:
our SMTP client alone with prebuilt messages (the floor), Django's own loop of `send()` over one connection (on a
sample), and what the sink takes when nobody waits for it. A second job is paused at full speed: how long after the
decision the last message arrives.
"""

import argparse
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection, transaction
from django.utils import timezone

from audiences import definitions, snapshot
from audiences.models import Snapshot
from audit import ledger
from benchmarks import _processes, _sink
from benchmarks.result import Result
from benchmarks.stage import step
from delivery import evidence, jobs, ringing, tasks
from delivery.channels import smtp
from delivery.channels.relay import parse
from delivery.content.mime import Envelope
from delivery.content.rendering import Content, compile
from delivery.models import Chunk, JobState, SendJob
from lamba_campaigns.embedded import parts
from projects import access
from projects.models import Environment, Project, Workspace
from projects.scoping import SYSTEM, Scope

SIZE = ("messages", 200_000)
PAUSED_SIZE_MAX = 100_000  # of the job that is paused
PAUSE_AFTER = 0.3  # of that job
DJANGO_SAMPLE = 2_000
FLOOR_BATCH = 500
BLAST = 100  # messages that the raw limit writes at once
WAIT_SECONDS_MAX = 300

_PARAGRAPH = (
    "The spring edition brings **three new reports**, a calmer overview and imports that take a tenth of the time. "
    "Everything you built keeps working; nothing has to be configured again, and nothing you share changes its link. "
)
CONTENT = Content(
    subject='{{ person.given_name | default: "Hello" }}, your {{ person.plan | default: "current" }} plan renews soon',
    preheader='What changes for {{ person.traits.company | default: "your team" }} this spring',
    body="\n\n".join(
        [
            'Dear {{ person.given_name | default: "friend" }} {{ person.family_name | default: "" }},',
            _PARAGRAPH,
            'Your account {{ person.external_id }} in {{ person.country | default: "your country" }} is on the '
            '{{ person.plan | default: "current" }} plan.',
            "## What is new",
            f"- {_PARAGRAPH}\n- {_PARAGRAPH}\n- Times are shown in {{{{ person.time_zone | default: 'UTC' }}}}.",
            '[See what is new for {{ person.traits.company | default: "you" }}](button:https://acme.example/new)',
            "> " + _PARAGRAPH,
            "Read on: [reports](https://acme.example/reports), [imports](https://acme.example/imports), "
            "[help](https://acme.example/help), [prices](https://acme.example/prices).",
            'We wrote to {{ person.email }} in {{ person.locale | default: "English" }}.',
        ]
    ),
    from_name="Acme",
    from_address="hello@acme.example",
    reply_to="help@acme.example",
)

_PEOPLE = """
WITH people AS (
    INSERT INTO audiences_person (environment_id, public_id, external_id, email, name, given_name, family_name, locale,
                                  time_zone, country, traits, created_at)
    SELECT %(environment)s, format('per_%%s', n), format('usr_%%s', n), format('person%%s@example.com', n),
           format('Ada%%s Lovelace', n), format('Ada%%s', n), 'Lovelace', 'en-GB', 'Europe/London', 'GB',
           jsonb_build_object('company', format('Company & Söhne %%s', n %% 1000)), now()
    FROM generate_series(1, %(count)s) AS n
    RETURNING id
)
INSERT INTO audiences_personfacts (person_id, environment_id, membership, consent_mask, address_state)
SELECT id, %(environment)s, 2, 1, 1 FROM people
"""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, help="Celery workers, of two processes each; usually 1")


def measure(size: int, options: argparse.Namespace) -> Result:
    with _sink.running() as sink:
        settings.EMAIL_URL = os.environ["EMAIL_URL"] = sink.url
        with step("people, snapshots"):
            scope = _scope()
            _people(scope, size)
            audience = definitions.create(
                scope=scope, actor=SYSTEM, name="Everybody", rule={"all": []}, now=timezone.now()
            )
            version = definitions.latest(audience)
            taken = [_snapshot(scope, version, purpose) for purpose in ("benchmark:1", "benchmark:2")]
        with step("floor: our client, prebuilt messages"):
            floor = _floor(sink, size)
        with step("peer: Django's loop"):
            django = _django(sink)
        with step("peer: the sink when nobody waits"):
            raw = _raw(sink, size)
        with _workers(options.workers) as pids:
            with step("the engine, paused at full speed"):
                pause_ms, drained_ms, after = _paused(scope, taken[1], sink)
            before = _used_by(pids(), sink)
            with step("the engine"):
                job, seconds = _engine(scope, taken[0], sink)
            counted, used = sink.count(), _used_by(pids(), sink)
            memory = max(_processes.peak_mb(pid) for pid in pids())
    balance = ledger.balance(scope=scope, job_id=job.pk)
    return Result(
        unit="messages/s",
        size=size,
        ours=size / seconds,
        floor=floor,
        peers={"django send loop": django, "raw sink limit": raw},
        extra={
            "seconds_first_to_last_message": round(counted.seconds, 2),
            "pause_last_message_ms": round(pause_ms, 1),
            "pause_drained_ms": round(drained_ms, 1),
            **{f"{name}_cpu_us_per_message": round((used[name] - before[name]) / size * 1e6, 1) for name in used},
            "worker_rss_mb": memory,
            "message_bytes": counted.bytes // max(counted.messages, 1),
            "x_django": round(size / seconds / django, 1),
        },
        checks={
            "the sink got every message": counted.messages == size,
            "no message twice": counted.different == counted.messages,
            "the ledger says accepted": balance.accounts["accepted"] == size and balance.residual == 0,
            "the rows say the same": evidence.messages(scope=scope, job=job)["accepted"] == size,
            "no chunk left over": not Chunk.objects.within(scope).filter(job=job).exclude(state=2).exists(),
            "paused: sink, ledger and rows agree": after,
        },
    )


# --- the stage ------------------------------------------------------------------------------------------------------
def _scope() -> Scope:
    workspace = Workspace.objects.create(slug=f"bench-{os.urandom(3).hex()}", name="Benchmark")
    project = Project.objects.create(workspace=workspace, slug="app", name="App", time_zone="UTC")
    row = Environment.objects.create(
        project=project, name="production", sender_name="Acme", sender_address=CONTENT.from_address
    )
    return access.scope_of(row)


def _people(scope: Scope, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"environment": scope.environment_id, "count": size})
        cursor.execute("ANALYZE audiences_person, audiences_personfacts")


def _snapshot(scope: Scope, version: Any, purpose: str) -> Snapshot:
    asked = sorted(compile(CONTENT).variables - {"unsubscribe_url"})
    return snapshot.take(
        scope=scope, version=version, channel="email", fields=asked, purpose=purpose, now=timezone.now()
    )


@contextmanager
def _workers(count: int) -> Iterator[Callable[[], list[int]]]:
    """The product's delivery workers; gives a function that lists the processes that do the work."""
    environment = dict(os.environ)
    command = parts.worker(name="delivery", environment=environment).command
    started = []
    for number in range(count):
        named = [part.replace("delivery@", f"delivery{number}@") for part in command]
        quiet = {"env": environment, "stderr": subprocess.DEVNULL, "start_new_session": True}
        started.append(subprocess.Popen(named, **quiet))  # type: ignore[call-overload]
    try:
        yield lambda: [pid for process in started for pid in _processes.children(process.pid)]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


# --- what is measured -----------------------------------------------------------------------------------------------
def _engine(scope: Scope, taken: Snapshot, sink: _sink.Handle) -> tuple[SendJob, float]:
    """From the job's first ring to its end, all rows written. The workers are warm from the job before."""
    sink.reset()
    job = _job(scope, taken)
    with _ringing():
        began = time.monotonic()
        _until(lambda: _state(job) == JobState.FINISHED)
        ended = time.monotonic()
    return job, ended - began


def _paused(scope: Scope, taken: Snapshot, sink: _sink.Handle) -> tuple[float, float, bool]:
    """Milliseconds from the decision to the last message and to `paused`, and whether all books agree then."""
    sink.reset()
    job = _job(scope, taken)
    wanted = int(min(taken.included, PAUSED_SIZE_MAX) * PAUSE_AFTER)
    with _ringing():
        _until(lambda: sink.count().messages >= wanted)
        asked = time.monotonic()
        with transaction.atomic():
            jobs.pause(scope=scope, job=job, now=timezone.now())
        _until(lambda: _state(job) == JobState.PAUSED)
        drained = time.monotonic()
    time.sleep(0.5)
    counted = sink.count()
    balance = ledger.balance(scope=scope, job_id=job.pk)
    rows = evidence.messages(scope=scope, job=job)
    agree = counted.messages == counted.different == balance.accounts["accepted"] == rows["accepted"]
    return (counted.last_at - asked) * 1000, (drained - asked) * 1000, agree and balance.residual == 0


def _job(scope: Scope, taken: Snapshot) -> SendJob:
    with transaction.atomic():
        return jobs.create(
            scope=scope,
            actor=SYSTEM,
            subject=f"cmp_{taken.pk}",
            snapshot=taken,
            content=CONTENT,
            content_id=1,
            channel="email",
            rate_per_minute=None,
            now=timezone.now(),
        )


def _state(job: SendJob) -> str:
    rows = SendJob.objects.across_environments("the benchmark's own job")
    return str(rows.values_list("state", flat=True).get(pk=job.pk))


@contextmanager
def _ringing() -> Iterator[None]:
    """The sweep's doorbell, every second."""
    stop = threading.Event()

    def ring() -> None:
        while not stop.is_set():
            for job_id in ringing.due(now=timezone.now()):
                tasks.ring(job_id)
            stop.wait(1)
        connection.close()

    thread = threading.Thread(target=ring)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _floor(sink: _sink.Handle, size: int) -> float:
    """Our client alone, as the engine uses it: batch after batch over the same connections."""
    sink.reset()
    channel = smtp.SmtpChannel(parse(sink.url))
    batch = [
        Envelope(number, CONTENT.from_address, f"person{number}@example.com", _message(number))
        for number in range(FLOOR_BATCH)
    ]
    channel.send_batch(batch)
    began = time.perf_counter()
    rounds = -(-size // FLOOR_BATCH)
    for _ in range(rounds):
        channel.send_batch(batch)
    seconds = time.perf_counter() - began
    channel.close()
    return rounds * FLOOR_BATCH / seconds


def _django(sink: _sink.Handle) -> float:
    backend = get_connection(
        "django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=sink.port, use_tls=False
    )
    compiled = compile(CONTENT)
    made = compiled.render(_fields(1), unsubscribe_url="https://acme.example/u/" + "a" * 26)
    backend.open()
    began = time.perf_counter()
    for number in range(DJANGO_SAMPLE):
        mail = EmailMultiAlternatives(
            made.subject, made.text, "Acme <hello@acme.example>", [f"person{number}@example.com"], connection=backend
        )
        mail.attach_alternative(made.html, "text/html")
        mail.send()
    seconds = time.perf_counter() - began
    backend.close()
    return DJANGO_SAMPLE / seconds


def _raw(sink: _sink.Handle, size: int) -> float:
    """Whole conversations written without waiting for a reply, over one socket."""
    one = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n%s.\r\n"
    many = b"".join(one % _message(number) for number in range(BLAST))
    with socket.create_connection(("127.0.0.1", sink.port)) as wire:
        lines = wire.makefile("rb")
        lines.readline()
        rounds = -(-min(size, 50_000) // BLAST)
        began = time.perf_counter()
        for _ in range(rounds):
            wire.sendall(many)
            for _ in range(4 * BLAST):
                lines.readline()
        return rounds * BLAST / (time.perf_counter() - began)


def _message(number: int) -> bytes:
    """A message of the same content as the engine makes, ready to send."""
    from datetime import UTC

    from delivery.content.mime import Letterhead

    if not _made:
        rendered = compile(CONTENT).render(_fields(1), unsubscribe_url="https://acme.example/u/" + "a" * 26)
        letterhead = Letterhead(content=CONTENT, feedback_id="job_1:prj_1:email:lamba")
        _made.append(
            letterhead.envelope(
                position=1,
                recipient="person1@example.com",
                rendered=rendered,
                token="0" * 26,
                unsubscribe_url="https://acme.example/u/" + "a" * 26,
                now=datetime(2026, 11, 23, tzinfo=UTC),
            ).data
        )
    return _made[0].replace(b"<" + b"0" * 26, b"<%026d" % number)


_made: list[bytes] = []


def _fields(number: int) -> dict[str, Any]:
    return {
        "person": {
            "given_name": f"Ada{number}",
            "family_name": "Lovelace",
            "email": f"person{number}@example.com",
            "external_id": f"usr_{number}",
            "locale": "en-GB",
            "time_zone": "Europe/London",
            "country": "GB",
            "plan": "",
            "traits": {"company": f"Company & Söhne {number}"},
        }
    }


def _used_by(workers: list[int], sink: _sink.Handle) -> dict[str, float]:
    return {
        "worker": _processes.used(workers),
        "postgres": _processes.used(_processes.postgres()),
        "sink": _processes.used([sink.pid]),
    }


def _until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError("The benchmark's job does not move.")
        time.sleep(0.02)
