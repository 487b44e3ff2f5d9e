"""`make run`: everything up in order, a line a step, until Ctrl-C; then everything down in the opposite order."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

from lamba_campaigns.embedded import environment, installation, parts, ports, prepare, real_servers, running, valkey
from lamba_campaigns.embedded.addresses import Addresses, choose_addresses
from lamba_campaigns.embedded.folder import PROJECT, SHARED_DATA, Folder
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.services import Services, services
from lamba_campaigns.embedded.summary import summary
from lamba_campaigns.embedded.supervisor import Interrupted, Part, Supervisor
from lamba_campaigns.embedded.terminal import Terminal

PREPARE_RANK = 0
READY_SECONDS_MAX = 60


def run(*, folder: Folder, terminal: Terminal, demo: bool = True) -> int:
    """Until asked to stop. The exit code: 0 after a clean stop."""
    terminal.title("Lamba Campaigns", f"process {os.getpid()}")
    folder.create()
    with running.exclusive(folder):
        running.end_leftovers(folder)
        state = running.State(pid=os.getpid())
        running.write(folder, state)
        supervisor = Supervisor(terminal, folder.logs, lambda pids: _note(folder, state, pids))
        with supervisor.asked_by_signals(), ExitStack() as cleanup:
            cleanup.callback(folder.state.unlink, missing_ok=True)
            cleanup.callback(environment.forget, folder)
            try:
                _start(folder, terminal, supervisor, state, cleanup, demo=demo)
                supervisor.watch()
            except Interrupted:
                pass
            finally:
                _stop(terminal, supervisor)
    return 0


def _start(
    folder: Folder, terminal: Terminal, supervisor: Supervisor, state: running.State, cleanup: ExitStack, *, demo: bool
) -> None:
    if folder.postgres.exists() and not folder.secrets.exists():
        terminal.warn(f"{folder.secrets} is gone, the data is not: its API keys and webhook secrets are of no use now.")
    real_servers.require(os.environ)
    secrets = installation.load_or_create(folder.secrets)
    addresses = choose_addresses(terminal, cleanup)
    up = cleanup.enter_context(
        services(
            folder=folder,
            supervisor=supervisor,
            terminal=terminal,
            installation=secrets["LAMBA_INSTALLATION_ID"],
            durable=True,
        )
    )
    values = _values(up, addresses, secrets)
    environment.write(folder, values)
    every = environment.of_parts(folder=folder, values=values)
    _prepare(terminal, supervisor, every, before_demo=lambda: _start_capture(supervisor, addresses, every), demo=demo)
    _start_parts(terminal, supervisor, addresses, every)
    state.console_url, state.ingest_url, state.capture_url = (
        addresses.console_url,
        addresses.ingest_url,
        addresses.capture_url,
    )
    state.ready = True
    running.write(folder, state)
    summary(terminal, folder, addresses.console_url, addresses.ingest_url, addresses.capture_url)


def _values(up: Services, addresses: Addresses, secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        "DATABASE_URL": up.database_url,
        "REDIS_URL": up.redis_url,
        "EMAIL_URL": addresses.email_url,
        "LAMBA_CAPTURE_URL": addresses.capture_url,
        "LAMBA_PUBLIC_URL": addresses.console_url,
        "LAMBA_INGEST_URL": addresses.ingest_url,
        **secrets,
    }


def _prepare(
    terminal: Terminal,
    supervisor: Supervisor,
    every: Mapping[str, str],
    *,
    before_demo: Callable[[], None],
    demo: bool,
) -> None:
    """Schema, static files and demo, in one process of Django's; its steps are shown as ours.

    Once the schema stands, `before_demo` starts what the demo needs: its campaigns really send.
    """
    options = () if demo else ("--no-demo",)
    command = (sys.executable, "-m", "lamba_campaigns.embedded.prepare", *options)
    part = Part("prepare", command, every, "embedded.prepare", PREPARE_RANK, folder=PROJECT)
    with ExitStack() as open_step:
        steps = {}

        def on_line(line: str) -> None:
            if not line.startswith(prepare.MARK):
                return
            said = json.loads(line.removeprefix(prepare.MARK))
            if "begin" in said:
                if said["begin"] == prepare.AFTER_SCHEMA:
                    before_demo()
                steps["now"] = open_step.enter_context(terminal.step(said["begin"]))
            else:
                steps["now"].detail = said["detail"]
                open_step.pop_all().close()

        supervisor.run(part, on_line)


def _start_capture(supervisor: Supervisor, addresses: Addresses, every: Mapping[str, str]) -> None:
    if addresses.captures:
        supervisor.start(parts.capture(environment=every))


def _start_parts(terminal: Terminal, supervisor: Supervisor, addresses: Addresses, every: Mapping[str, str]) -> None:
    """All at once, because each takes a second to import; then each is waited for."""
    waiting = valkey.waiting_workers(every["REDIS_URL"])
    supervisor.start(parts.web(host=addresses.host, port=addresses.web, environment=every))
    supervisor.start(parts.ingest(host=addresses.host, port=addresses.ingest, environment=every))
    for name in parts.WORKERS:
        supervisor.start(parts.worker(name=name, environment=every))
    supervisor.start(parts.beat(environment=every))
    if addresses.captures:
        with terminal.step("Mail capture") as step:
            supervisor.wait_until("capture", lambda: ports.answers(addresses.capture), seconds=READY_SECONDS_MAX)
            step.detail = addresses.capture_url
    with terminal.step("Web") as step:
        supervisor.wait_until("web", lambda: parts.answers_http(addresses.web), seconds=READY_SECONDS_MAX)
        step.detail = addresses.console_url
    with terminal.step("Webhook ingest") as step:
        supervisor.wait_until("ingest", lambda: parts.answers_http(addresses.ingest), seconds=READY_SECONDS_MAX)
        step.detail = addresses.ingest_url
    with terminal.step("Workers and beat") as step:
        expected = waiting + len(parts.WORKERS)
        supervisor.wait_until(
            "control",
            lambda: valkey.waiting_workers(every["REDIS_URL"]) >= expected,
            seconds=READY_SECONDS_MAX,
        )
        step.detail = f"{len(parts.WORKERS)} workers of {parts.WORKER_PROCESSES} processes"


def _note(folder: Folder, state: running.State, pids: Mapping[str, tuple[int, str]]) -> None:
    state.children = {name: {"pid": pid, "mark": mark} for name, (pid, mark) in pids.items()}
    running.write(folder, state)


def _stop(terminal: Terminal, supervisor: Supervisor) -> None:
    if not supervisor.pids():
        return
    terminal.say()
    with terminal.step("Stopping") as step:
        supervisor.stop()
        step.detail = "everything has stopped; the data is kept"
    terminal.say()


def serve(
    *, folder: Folder, terminal: Terminal, command: tuple[str, ...], durable: bool, extra: Mapping[str, str]
) -> int:
    """Postgres and Valkey alone: for `command`, whose exit code is returned, or until Ctrl-C without one."""
    folder.create()
    with running.exclusive(folder):
        running.end_leftovers(folder)
        state = running.State(pid=os.getpid())
        running.write(folder, state)
        supervisor = Supervisor(terminal, folder.logs, lambda pids: _note(folder, state, pids))
        secrets = installation.load_or_create(folder.secrets)
        with supervisor.asked_by_signals(), ExitStack() as cleanup:
            cleanup.callback(folder.state.unlink, missing_ok=True)
            try:
                up = cleanup.enter_context(
                    services(
                        folder=folder,
                        supervisor=supervisor,
                        terminal=terminal,
                        installation=secrets["LAMBA_INSTALLATION_ID"],
                        durable=durable,
                    )
                )
                urls = {"DATABASE_URL": up.database_url, "REDIS_URL": up.redis_url, **extra}
                if command:
                    return supervisor.run_in_foreground(command, {**os.environ, **urls}, PROJECT)
                terminal.say()
                terminal.rows(list(urls.items()))
                terminal.say()
                terminal.say("  Ctrl-C stops both.")
                supervisor.watch()
            except Interrupted:
                return 130
            finally:
                supervisor.stop()
    return 0


def clean(folder: Folder) -> None:
    """The instance's folder and its database are gone. Refused while it runs."""
    if running.is_locked(folder):
        raise running.AlreadyRunning("It is running; stop it first.", running.read(folder))
    for secrets in (folder.secrets, *folder.root.glob("*/secrets.env")):
        with suppress(FileNotFoundError, CannotStart):
            name = installation.parse(secrets.read_text()).get("LAMBA_INSTALLATION_ID", "")
            if name.startswith("ins_"):
                shutil.rmtree(SHARED_DATA / name, ignore_errors=True)
    if folder.root.exists():
        shutil.rmtree(folder.root)
