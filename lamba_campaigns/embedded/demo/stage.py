"""Where the demo plays: an instance that runs already or one of its own, and a fresh workspace in it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lamba_campaigns.embedded import client, installation
from lamba_campaigns.embedded.client import Instance
from lamba_campaigns.embedded.demo.lamba import Sender
from lamba_campaigns.embedded.demo.rest import Rest
from lamba_campaigns.embedded.folder import PROJECT, standard
from lamba_campaigns.embedded.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Stage:
    """A fresh workspace on the free plan, and how to reach it as a product team, as Lamba and as a mail provider."""

    instance: Instance
    slug: str
    rest: Rest
    lamba: Sender
    provider: Sender
    astray: Sender  # Lamba for the sandbox, delivering to the production endpoint by mistake


@contextmanager
def instance(terminal: Terminal) -> Iterator[Instance]:
    """The running instance; without one, an own one that is stopped afterwards."""
    found = client.running_instance(standard())
    if found is not None:
        terminal.say(f"      on the instance at {found.console_url}")
        yield found
        return
    with client.own_instance(standard(), environment=os.environ, output=subprocess.DEVNULL) as own:
        terminal.say(f"      on an instance of its own at {own.console_url}")
        yield own


def stage(instance: Instance, slug: str) -> Stage:
    """Create the workspace by the command that an installation's first workspace is created with."""
    opened = _created(instance, slug)["environments"]["production"]
    lamba = _sender(opened, "lamba", "production", slug)
    return Stage(
        instance=instance,
        slug=slug,
        rest=Rest(instance.console_url.rstrip("/"), opened["apiKey"]),
        lamba=lamba,
        provider=_sender(opened, "provider", "production", slug),
        astray=_sender(opened, "lamba", "sandbox", slug),
    )


def _sender(opened: dict[str, Any], kind: str, environment: str, slug: str) -> Sender:
    url, secret = opened[f"{kind}Endpoint"], opened[f"{kind}Secret"]
    return Sender(url, secret, opened["workspace"], opened["project"], environment, slug)


def _created(instance: Instance, slug: str) -> dict[str, Any]:
    environment = os.environ | installation.parse(instance.folder.environment.read_text())
    command = [sys.executable, "manage.py", "create_workspace", slug, "--name", slug.title()]
    done = subprocess.run(
        [*command, "--owner", f"{slug}@demo.example"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"create_workspace failed: {done.stderr.strip()[-800:]}")
    return dict(json.loads(done.stdout))
