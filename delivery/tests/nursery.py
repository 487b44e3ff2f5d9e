"""Workers as processes: one that has everything loaded forks another for each job id that it reads, as Celery does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from delivery.models import SendJob

ROOT = Path(__file__).parents[2]


def environment(*, database_url: str, mail_url: str) -> Mapping[str, str]:
    """Of a process that works on a test's database and sends to one server alone."""
    mail = {"EMAIL_URL": mail_url, "LAMBA_CAPTURE_URL": mail_url}
    return {**os.environ, "DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "lamba_campaigns.settings", **mail}


@contextmanager
def running(*, database_url: str, mail_url: str) -> Iterator[Callable[["SendJob"], int]]:
    """A function that starts a worker on a job and returns its pid. All are gone at the end."""
    process = subprocess.Popen(
        (sys.executable, "-m", "delivery.tests.nursery"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(database_url=database_url, mail_url=mail_url),
        cwd=ROOT,
        start_new_session=True,
    )
    asked, told = process.stdin, process.stdout
    assert asked is not None and told is not None
    assert told.readline().strip() == "ready"

    def worker(job: "SendJob") -> int:
        asked.write(f"{job.pk}\n")
        asked.flush()
        return int(told.readline())

    try:
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        asked.close()
        told.close()


if __name__ == "__main__":
    django.setup()
    from delivery import deliver
    from delivery.channels import ways as ways

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            deliver.deliver(job_id=int(line), seconds=120)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
