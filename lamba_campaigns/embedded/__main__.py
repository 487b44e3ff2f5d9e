"""`python -m lamba_campaigns.embedded run|services|test|status|stop|clean|secrets`"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lamba_campaigns.embedded import environment, installation, running, runtime
from lamba_campaigns.embedded.folder import PROJECT, Folder, standard
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.terminal import Terminal

NOT_RUNNING = 3
TEST_FOLDERS_MAX = 8  # so many `make test` may run side by side


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    terminal = Terminal()
    folder = Folder(Path(options.var).absolute()) if options.var else standard()
    try:
        return int(options.run(options, folder, terminal))
    except CannotStart as refusal:
        terminal.error(str(refusal))
        for line in refusal.lines:
            terminal.say(f"      {line}")
        terminal.say()
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        terminal.error(f"{error.strerror}: {error.filename}")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    environment.read_dot_env()
    return runtime.run(folder=folder, terminal=terminal, demo=not options.no_demo)


def _services(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    return runtime.serve(
        folder=folder, terminal=terminal, command=tuple(options.command), durable=not options.throwaway, extra={}
    )


def _test(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    """The suite on a throw-away database in a folder of its own, so that a running instance is left alone."""
    command = (sys.executable, "-m", "pytest", *options.command)
    for number in range(1, TEST_FOLDERS_MAX + 1):
        own = Folder(folder.root / f"test-{number}")
        with suppress(running.AlreadyRunning):
            own.root.mkdir(parents=True, exist_ok=True)
            extra = {"LAMBA_MODE": "test", "LAMBA_VAR_DIR": str(own.root), "EMAIL_URL": "smtp://127.0.0.1:1025"}
            return runtime.serve(folder=own, terminal=terminal, command=command, durable=False, extra=extra)
    raise CannotStart(f"{TEST_FOLDERS_MAX} test runs are going on in {folder.root} already.")


def _status(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    if not running.is_locked(folder):
        terminal.say(f"Not running ({folder.root}).")
        return NOT_RUNNING
    state = running.read(folder)
    terminal.say(f"{'Running' if state.ready else 'Starting'}: process {state.pid}, folder {folder.root}")
    terminal.rows([("Console", state.console_url), ("Webhooks", state.ingest_url), ("Mail", state.capture_url)])
    terminal.rows([(name, str(child["pid"])) for name, child in state.children.items()])
    return 0


def _stop(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    terminal.say("Stopped." if running.stop(folder) else f"Not running ({folder.root}).")
    return 0


def _clean(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    runtime.clean(folder)
    return 0


def _secrets(options: argparse.Namespace, folder: Folder, terminal: Terminal) -> int:
    sys.stdout.write(installation.render(installation.generate()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lamba_campaigns.embedded", description=__doc__)
    parser.add_argument("--var", default="", help="the instance's folder (default: LAMBA_VAR_DIR, else var/)")
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="everything, until Ctrl-C")
    run.add_argument("--no-demo", action="store_true", help="without the demo workspace")
    run.set_defaults(run=_run)
    services = commands.add_parser("services", help="Postgres and Valkey alone, for a command or until Ctrl-C")
    services.add_argument("--throwaway", action="store_true", help="faster; a power cut loses the data")
    services.add_argument("command", nargs="*", help="after --: run it with DATABASE_URL and REDIS_URL set")
    services.set_defaults(run=_services)
    test = commands.add_parser("test", help="the test suite on services of its own")
    test.add_argument("command", nargs="*", help="after --: pytest's arguments")
    test.set_defaults(run=_test)
    for name, function, text in (
        ("status", _status, "whether it runs, and where"),
        ("stop", _stop, "stop the running instance"),
        ("clean", _clean, "remove the instance's folder and database"),
        ("secrets", _secrets, "print a new set of secrets, for .env of a production installation"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=function)
    return parser


if __name__ == "__main__":
    os.chdir(PROJECT)
    sys.exit(main())
