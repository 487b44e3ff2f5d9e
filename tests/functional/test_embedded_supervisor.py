"""The supervisor with small programs of its own: what dies is started again, what is stopped leaves nothing behind."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lamba_campaigns.embedded import process
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.supervisor import Interrupted, Part, Supervisor
from lamba_campaigns.embedded.terminal import Terminal

pytestmark = pytest.mark.slow

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(tmp_path: Path, screen: io.StringIO) -> Iterator[Supervisor]:
    found = Supervisor(Terminal(screen), tmp_path)
    with found.asked_by_signals():
        yield found
        found.stop()


def part(name: str, program: str, **changes: object) -> Part:
    values: dict[str, object] = {
        "name": name,
        "command": (sys.executable, "-c", program),
        "environment": {},
        "mark": "-c",
        "stop_rank": 10,
        "stop_seconds": 5,
    }
    return Part(**(values | changes))  # type: ignore[arg-type]


def test_part_that_dies_is_started_again_and_said(supervisor: Supervisor, screen: io.StringIO) -> None:
    supervisor.start(part("sleeper", SLEEP))
    first = _pid(supervisor, "sleeper")
    os.kill(first, signal.SIGKILL)
    _turn_until(supervisor, lambda: _pid(supervisor, "sleeper") not in (0, first))
    assert "sleeper was ended by SIGKILL; starting it again." in screen.getvalue()


def test_part_that_keeps_dying_is_tried_less_and_less_often(supervisor: Supervisor, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    supervisor.start(part("failing", f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(3)"))
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        supervisor.turn(0.02)
    assert len(starts.read_text()) == 3  # at once, after 0.2 s, after 1 s; the next would come 2 s later


def test_part_that_never_gets_ready_is_explained_by_its_last_lines(supervisor: Supervisor) -> None:
    supervisor.start(part("broken", "raise SystemExit('the disk is full')"))
    with pytest.raises(CannotStart, match="broken stopped again and again") as refusal:
        supervisor.wait_until("broken", lambda: False, seconds=20)
    assert refusal.value.lines[-1] == "the disk is full"


def test_lines_of_a_part_are_shown_behind_its_name_and_kept_in_its_log(
    supervisor: Supervisor, tmp_path: Path, screen: io.StringIO
) -> None:
    program = "import time; print('wanted'); print('noise', flush=True); time.sleep(60)"
    supervisor.start(part("talker", program, shown=lambda line: line != "noise"))
    _turn_until(supervisor, lambda: "noise" in (tmp_path / "talker.log").read_text())
    supervisor.turn(0)
    out = screen.getvalue()
    assert "talker    | wanted" in out
    assert "noise" not in out


def test_lower_ranks_stop_first(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = textwrap.dedent(
        f"""
        import signal, sys, time
        def end(*_):
            open({str(order)!r}, "a").write(sys.argv[1])
            raise SystemExit
        signal.signal(signal.SIGTERM, end)
        print("up", flush=True)
        time.sleep(60)
        """
    )
    for name, rank in (("d", 90), ("a", 10), ("w", 30)):
        command = (sys.executable, "-c", program, name)
        supervisor.start(part(name, "", command=command, stop_rank=rank))
        _turn_until(supervisor, lambda name=name: "up" in (tmp_path / f"{name}.log").read_text())  # type: ignore[misc]
    supervisor.stop()
    assert order.read_text() == "awd"


def test_part_that_ignores_the_request_is_ended(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(part("stubborn", STUBBORN, stop_seconds=0.3))
    _turn_until(supervisor, lambda: "up" in (tmp_path / "stubborn.log").read_text())
    pid = _pid(supervisor, "stubborn")
    supervisor.stop()
    assert not process.command_of(pid)


def test_children_of_a_part_do_not_outlive_it(supervisor: Supervisor, tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
        print(child.pid, flush=True)
        child.wait()
        """
    )
    supervisor.start(part("parent", program))
    log = tmp_path / "parent.log"
    _turn_until(supervisor, lambda: "up" in log.read_text())
    child = int(log.read_text().splitlines()[0])
    os.kill(_pid(supervisor, "parent"), signal.SIGKILL)
    _turn_until(supervisor, lambda: not process.command_of(child))


def test_first_ctrl_c_asks_and_the_second_forces(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(part("stubborn", STUBBORN, stop_seconds=60))
    _turn_until(supervisor, lambda: "up" in (tmp_path / "stubborn.log").read_text())
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):
        supervisor.turn(0)
    began = time.monotonic()
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    supervisor.stop()
    assert time.monotonic() - began < 10


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no death signal; the next start cleans up")
def test_parts_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from lamba_campaigns.embedded.supervisor import Part, Supervisor
        from lamba_campaigns.embedded.terminal import Terminal
        supervisor = Supervisor(Terminal(), Path({str(tmp_path)!r}))
        supervisor.start(Part("sleeper", (sys.executable, "-c", {SLEEP!r}), {{}}, "-c", 10))
        print(supervisor.pids()["sleeper"][0], flush=True)
        supervisor.watch()
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        child = int(outer.stdout.readline())
        assert process.command_of(child)
        outer.kill()
    deadline = time.monotonic() + 10
    while process.command_of(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _pid(supervisor: Supervisor, name: str) -> int:
    return supervisor.pids().get(name, (0, ""))[0]


def _turn_until(supervisor: Supervisor, ready: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        supervisor.turn(0.02)
