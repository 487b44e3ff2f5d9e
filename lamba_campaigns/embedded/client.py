"""For programs that need an instance: use the running one, or start one of their own and stop it afterwards."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lamba_campaigns.embedded import process, running
from lamba_campaigns.embedded.folder import PROJECT, Folder
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.summary import Credentials, read_credentials

START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Instance:
    """A ready instance, as seen from outside."""

    folder: Folder
    console_url: str
    ingest_url: str
    capture_url: str
    credentials: Credentials | None

    def pid_of(self, part: str) -> int:
        """The process id of a part right now; it changes when the part is started again."""
        return running.read(self.folder).children[part]["pid"]


def running_instance(folder: Folder) -> Instance | None:
    """The instance that is up in this folder, or None."""
    state = running.read(folder)
    if not (running.is_locked(folder) and state.ready and process.command_of(state.pid)):
        return None
    return Instance(
        folder, state.console_url, state.ingest_url, state.capture_url, read_credentials(folder.credentials)
    )


@contextmanager
def own_instance(
    folder: Folder, *, environment: Mapping[str, str], options: Sequence[str] = (), output: int | None = None
) -> Iterator[Instance]:
    """An instance in `folder`, up before the block and stopped after it. `options` of `run`; lines go to `output`."""
    command = [sys.executable, "-m", "lamba_campaigns.embedded", "--var", str(folder.root), "run", *options]
    started = subprocess.Popen(command, cwd=PROJECT, env=dict(environment), stdout=output, stderr=output)
    try:
        yield _wait(started, folder)
    finally:
        if started.poll() is None:
            started.terminate()
        started.wait(STOP_SECONDS_MAX)


def _wait(started: "subprocess.Popen[bytes]", folder: Folder) -> Instance:
    deadline = time.monotonic() + START_SECONDS_MAX
    while (found := running_instance(folder)) is None:
        if started.poll() is not None:
            raise CannotStart(f"The instance ended with exit code {started.returncode} while starting.")
        if time.monotonic() > deadline:
            raise CannotStart(f"The instance was not ready after {START_SECONDS_MAX} seconds.")
        time.sleep(0.1)
    return found
