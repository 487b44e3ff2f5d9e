"""What the tests of faults do with workers, and what must be true afterwards: sink, messages and ledger agree."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from django.db import connection

from audit import ledger
from benchmarks import _sink
from delivery import deliver as engine
from delivery import evidence, leases, tokens
from delivery.models import Chunk, Message, SendJob
from delivery.tests.conftest import counters, state
from projects.scoping import Scope


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def open_windows(job: SendJob) -> list[int]:
    """How many messages each leased chunk has on their way."""
    rows = Chunk.objects.across_environments("the test's own job").filter(job=job, state=Chunk.State.LEASED)
    return [chunk.intent_position - chunk.done_position for chunk in rows]


def at_work(job: SendJob, pid: int) -> bool:
    leased = Chunk.objects.across_environments("the test's own job").filter(job=job, state=Chunk.State.LEASED)
    return gone(pid) or leased.filter(lease_owner__endswith=f":{pid}").exists()


def end_leases(job: SendJob, pid: int) -> int:
    """The leases of a dead worker end, as they would after fifteen seconds, and its connections, as after sixty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE delivery_chunk SET lease_until = now() - interval '1 second'"
            " WHERE job_id = %s AND state = 1 AND lease_owner LIKE %s",
            [job.pk, f"%:{pid}"],
        )
        cursor.execute("DELETE FROM delivery_relayuse WHERE owner LIKE %s", [f"%:{pid}"])
    return leases.expire(now=datetime.now(UTC))


def finish(job: SendJob) -> None:
    until(lambda: not open_windows(job))
    engine.deliver(job_id=job.pk, seconds=120)
    assert state(job) == "finished"


def agree(scope: Scope, job: SendJob, sink: _sink.Handle) -> dict[str, int]:
    """Sink, messages, counters and ledger say the same; returns the counters."""
    balance, counted = counters(job), sink.count()
    found = ledger.balance(scope=scope, job_id=job.pk)
    assert found.residual == 0
    assert {name: count for name, count in found.accounts.items() if count} == balance
    assert {name: count for name, count in evidence.messages(scope=scope, job=job).items() if count} == balance
    assert counted.messages == counted.different, "somebody got it twice"
    arrived = {reference.number for reference in map(_reference, sink.ids()) if reference.job_id == job.pk}
    rows = Message.objects.filter(job_id=job.pk).values_list("position", "account")
    accepted = {position for position, account in rows if account == 4}
    uncertain = {position for position, account in rows if account == 3}
    assert accepted <= arrived, "accepted, and not there"
    assert arrived <= accepted | uncertain, "there, and in no account that says so"
    return balance


def _reference(token: str) -> tokens.Reference:
    found = tokens.read("message", token)
    assert found is not None
    return found
