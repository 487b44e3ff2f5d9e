"""A process that has everything loaded and forks a worker for each job id it reads, as a Celery pool does."""

import os
import signal
import sys

import django

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
