"""Keeps the parts of an instance running, on one thread: what dies is started again, what stops, stops in order.

Every part writes into its own log file; what a person should see is also shown on the terminal behind its name. A part
never writes into a pipe of ours, so it neither blocks nor fails when the supervisor is suspended or killed.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lamba_campaigns.embedded import process
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.process import Account
from lamba_campaigns.embedded.terminal import Terminal

TICK_SECONDS = 0.1
READY_TICK_SECONDS = 0.03
BACKOFF_SECONDS = (0.2, 1, 2, 5, 10, 30)
HEALTHY_SECONDS = 60  # after so long a part's next death is its first again
DEATHS_WHILE_STARTING_MAX = 3
LOG_BYTES_MAX = 20_000_000
LAST_LINES = 12
LINES_AT_ONCE_MAX = 8


class Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived; the caller stops what runs."""


@dataclass(frozen=True, slots=True)
class Part:
    """One program to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mark: str  # stands in its command line, also after it renamed itself
    stop_rank: int  # lower ranks stop first
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10
    force_signal: int = signal.SIGKILL
    account: Account | None = None
    folder: Path = Path("/")
    before_start: Callable[[], None] = lambda: None
    shown: Callable[[str], bool] = lambda line: True


@dataclass(slots=True)
class _Running:
    part: Part
    log: Path
    number: int
    process: "subprocess.Popen[bytes] | None" = None
    offset: int = 0  # how far its log has been shown
    started_at: float = 0
    deaths: int = 0
    start_at: float | None = None  # when it is to be started again
    rest: bytes = b""


@dataclass(slots=True)
class Supervisor:
    """All parts of one instance. `changed` is called with the live process ids after each start or stop."""

    terminal: Terminal
    logs: Path
    changed: Callable[[Mapping[str, tuple[int, str]]], None] = lambda pids: None
    _running: dict[str, _Running] = field(default_factory=dict)
    _signals: int = 0
    _ignored: bool = False

    @contextmanager
    def asked_by_signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a closed terminal ask to stop, within the block."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, self._on_signal) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def start(self, part: Part) -> None:
        running = _Running(part, self.logs / f"{part.name}.log", len(self._running))
        self._running[part.name] = running
        self._launch(running)

    def wait_until(self, name: str, ready: Callable[[], bool], *, seconds: float) -> None:
        """Returns when the part is ready. CannotStart, with its last lines, if it keeps dying or takes too long."""
        running, deadline = self._running[name], time.monotonic() + seconds
        while not ready():
            self.turn(READY_TICK_SECONDS)
            if running.deaths >= DEATHS_WHILE_STARTING_MAX:
                raise self._failed(running, "stopped again and again while starting")
            if time.monotonic() > deadline:
                raise self._failed(running, f"was not ready after {seconds:.0f} seconds")

    def run(self, part: Part, on_line: Callable[[str], None]) -> None:
        """Run a program to its end, each of its lines given to `on_line`. CannotStart if it fails."""
        running = _Running(part, self.logs / f"{part.name}.log", 0)
        self._spawn(running)
        assert running.process is not None
        try:
            while running.process.poll() is None:
                self.turn(READY_TICK_SECONDS)
                self._each_line(running, on_line)
            self._each_line(running, on_line)
        except BaseException:
            process.signal_group(running.process.pid, signal.SIGKILL)
            running.process.wait()
            raise
        if running.process.returncode != 0:
            raise self._failed(running, f"ended with exit code {running.process.returncode}")

    def run_in_foreground(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        """Run a program on our own terminal and return its exit code. Ctrl-C is left to it."""
        child = process.start(command, environment=environment, output=None, folder=folder, own_group=False)
        self._ignored = True
        try:
            while child.poll() is None:
                self.turn(TICK_SECONDS)
                if self._signals >= 2:
                    child.kill()
        finally:
            self._ignored = False
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def watch(self) -> None:
        """Returns when the person at the terminal, or a signal, asks to stop."""
        while True:
            try:
                self.turn(TICK_SECONDS)
            except Interrupted:
                return

    def stop(self) -> None:
        """Everything has stopped, lower ranks first. A second Ctrl-C meanwhile forces all of it."""
        asked = self._signals
        for rank in sorted({running.part.stop_rank for running in self._running.values()}):
            parts = [running for running in self._running.values() if running.part.stop_rank == rank]
            for running in parts:
                running.start_at = None
                self._signal(running, running.part.stop_signal)
            self._wait_for(parts, asked)
        self._show_logs()
        self._running.clear()
        self.changed({})

    def pids(self) -> dict[str, tuple[int, str]]:
        """Name -> (process id, mark) of what runs now."""
        return {
            name: (running.process.pid, running.part.mark)
            for name, running in self._running.items()
            if running.process is not None
        }

    # --- one turn ------------------------------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        time.sleep(seconds)
        self._show_logs()
        for running in self._running.values():
            self._look_after(running)
        if self._signals and not self._ignored:
            raise Interrupted

    def _look_after(self, running: _Running) -> None:
        if running.process is not None and running.process.poll() is not None:
            self._note_death(running)
        if running.start_at is not None and time.monotonic() >= running.start_at:
            self._launch(running)

    def _note_death(self, running: _Running) -> None:
        assert running.process is not None
        process.signal_group(running.process.pid, signal.SIGKILL)  # its own children must not linger
        if time.monotonic() - running.started_at > HEALTHY_SECONDS:
            running.deaths = 0
        pause = BACKOFF_SECONDS[min(running.deaths, len(BACKOFF_SECONDS) - 1)]
        running.deaths += 1
        self._show(running)
        self.terminal.warn(f"{running.part.name} {_ending(running.process.returncode)}; starting it again.")
        running.process, running.start_at = None, time.monotonic() + pause

    def _launch(self, running: _Running) -> None:
        running.part.before_start()
        self._spawn(running)
        self.changed(self.pids())

    def _spawn(self, running: _Running) -> None:
        part = running.part
        running.offset, running.rest, running.start_at = _tidy(running.log), b"", None
        running.started_at = time.monotonic()
        with running.log.open("ab") as output:
            running.process = process.start(
                part.command,
                environment=part.environment,
                output=output,
                folder=part.folder,
                account=part.account,
                death_signal=part.stop_signal,
            )

    # --- stopping ------------------------------------------------------------------------------------------------

    def _wait_for(self, parts: Sequence[_Running], asked: int) -> None:
        deadline = time.monotonic() + max((running.part.stop_seconds for running in parts), default=0)
        forced = False
        while alive := [running for running in parts if running.process is not None and running.process.poll() is None]:
            if not forced and (time.monotonic() > deadline or self._signals > max(asked, 1)):
                forced = True
                for running in alive:
                    self.terminal.warn(f"{running.part.name} did not stop in time; it is ended now.")
                    self._signal(running, running.part.force_signal)
            self._show_logs()
            time.sleep(READY_TICK_SECONDS)
        for running in parts:
            if running.process is not None:
                process.signal_group(running.process.pid, signal.SIGKILL)

    def _signal(self, running: _Running, number: int) -> None:
        """To the part alone, which tells its own children; a forced one takes them with it."""
        if running.process is None or running.process.poll() is not None:
            return
        if number == signal.SIGKILL:
            process.signal_group(running.process.pid, number)
        else:
            running.process.send_signal(number)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    # --- logs ----------------------------------------------------------------------------------------------------

    def _show_logs(self) -> None:
        for running in self._running.values():
            self._show(running)

    def _show(self, running: _Running) -> None:
        """The new lines on the terminal; of a long burst, such as a traceback, its end."""
        lines: list[str] = []
        self._each_line(running, lines.append)
        wanted = [line for line in lines if running.part.shown(line)]
        if len(wanted) > LINES_AT_ONCE_MAX:
            said = f"… {len(wanted) - LINES_AT_ONCE_MAX} more lines are in {running.log}"
            wanted = [said, *wanted[-LINES_AT_ONCE_MAX:]]
        for line in wanted:
            self.terminal.log(running.part.name, line, number=running.number)

    def _each_line(self, running: _Running, on_line: Callable[[str], None]) -> None:
        try:
            with running.log.open("rb") as file:
                file.seek(running.offset)
                data = file.read()
        except FileNotFoundError:
            return
        running.offset += len(data)
        *lines, running.rest = (running.rest + data).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace").rstrip())
        if running.offset > LOG_BYTES_MAX and running.process is not None:
            os.truncate(running.log, 0)  # it is written in append mode, so it goes on from the beginning
            running.offset = 0

    def _failed(self, running: _Running, what: str) -> CannotStart:
        lines = running.log.read_text(errors="replace").splitlines()[-LAST_LINES:] if running.log.exists() else []
        return CannotStart(f"{running.part.name} {what}. Its log is {running.log}.", tuple(lines))


def _tidy(log: Path) -> int:
    """Where the next run's lines begin. A log that has grown too long is begun anew."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= LOG_BYTES_MAX:
        return size
    log.replace(log.with_name(log.name + ".1"))
    return 0


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
