"""What an installation keeps for itself, what it listens on, and what its terminal shows."""

import base64
import io
import json
import os
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from lamba_campaigns.embedded import environment, installation, ports, process, running
from lamba_campaigns.embedded.addresses import choose_addresses
from lamba_campaigns.embedded.folder import PROJECT, Folder
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.terminal import Terminal


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path / "var")
    found.create()
    return found


def test_secrets_are_made_once_and_only_their_owner_can_read_them(folder: Folder) -> None:
    first = installation.load_or_create(folder.secrets)
    assert installation.load_or_create(folder.secrets) == first
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o600


def test_two_installations_share_no_secret() -> None:
    one, other = installation.generate(), installation.generate()
    assert set(one) == set(other)
    assert not set(one.values()) & set(other.values())
    assert len(base64.urlsafe_b64decode(one["LAMBA_AUDIT_SIGNING_KEY"])) == 32


def test_secret_that_a_later_release_needs_is_added_and_the_others_stay(folder: Folder) -> None:
    folder.secrets.write_text("SECRET_KEY=old\n")
    found = installation.load_or_create(folder.secrets)
    assert found["SECRET_KEY"] == "old"
    assert installation.parse(folder.secrets.read_text()) == found


def test_secret_of_the_environment_wins_and_is_not_stored(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "mine")
    assert installation.load_or_create(folder.secrets)["SECRET_KEY"] == "mine"
    assert "mine" not in folder.secrets.read_text()


def test_damaged_secrets_are_refused_and_left_as_they_are(folder: Folder) -> None:
    folder.secrets.write_text("SECRET_KEY=old\nLAMBA_LIN")
    with pytest.raises(CannotStart, match="damaged in line 2"):
        installation.load_or_create(folder.secrets)
    assert folder.secrets.read_text() == "SECRET_KEY=old\nLAMBA_LIN"


def test_printed_secrets_are_a_complete_production_environment() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "lamba_campaigns.embedded", "secrets"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    settings = installation.parse(printed) | {
        "LAMBA_MODE": "production",
        "LAMBA_PUBLIC_URL": "https://campaigns.example",
        "ALLOWED_HOSTS": "campaigns.example",
        "DATABASE_URL": "postgres://db/lamba",
        "REDIS_URL": "redis://cache",
        "EMAIL_URL": "smtp://relay",
        "PATH": os.environ["PATH"],
    }
    check = [sys.executable, "-c", "import lamba_campaigns.settings"]
    assert subprocess.run(check, cwd=PROJECT, env=settings, check=False).returncode == 0
    without = {name: value for name, value in settings.items() if name != "LAMBA_LINK_KEY"}
    refused = subprocess.run(check, cwd=PROJECT, env=without, capture_output=True, text=True, check=False)
    assert "LAMBA_LINK_KEY is not set" in refused.stderr


def test_parts_get_our_addresses_and_none_of_the_users_postgres_defaults(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("LAMBA_API_RATE", "1/minute")
    found = environment.of_parts(folder=folder, values={"DATABASE_URL": "postgres://ours"})
    assert found["LAMBA_MODE"] == "embedded"
    assert found["DATABASE_URL"] == "postgres://ours"
    assert found["LAMBA_API_RATE"] == "1/minute"
    assert "PGHOST" not in found


def test_taken_port_gives_way_to_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with closing(ports.choose(taken)) as choice:
            assert choice.moved
            assert choice.port > taken
            assert not ports.answers(choice.port)


def test_port_that_the_user_fixed_is_not_moved() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(ports.NoFreePort, match=f"Port {taken} is taken by another program, and PORT fixes it"):
            ports.choose(taken, fixed=True)


def test_port_that_another_instance_has_chosen_is_not_chosen_again_before_anybody_listens() -> None:
    with closing(ports.choose(20_000)) as first, closing(ports.choose(first.port)) as second:
        assert second.port > first.port
        with socket.create_server(("127.0.0.1", first.port)):  # the claim does not hinder its owner
            assert ports.answers(first.port)


@pytest.mark.parametrize("text", ["http", "-1", "99999"])
def test_port_that_is_no_port_is_explained(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(CannotStart, match="port number"), ExitStack() as cleanup:
        choose_addresses(Terminal(io.StringIO()), cleanup)


def test_second_instance_in_a_folder_is_told_where_the_first_one_is(folder: Folder) -> None:
    with running.exclusive(folder):
        running.write(folder, running.State(pid=42, ready=True, console_url="http://localhost:8000"))
        with (
            pytest.raises(running.AlreadyRunning, match=r"already running at http://localhost:8000 \(process 42"),
            running.exclusive(folder),
        ):
            pass
    with running.exclusive(folder):
        assert running.is_locked(folder)
    assert not running.is_locked(folder)


def test_state_that_was_cut_off_is_read_as_none(folder: Folder) -> None:
    folder.state.write_text('{"pid": 1')
    assert running.read(folder) == running.State()
    folder.state.write_text(json.dumps({"pid": 1, "of a later release": True}))
    assert running.read(folder) == running.State()


def test_left_over_number_that_belongs_to_another_program_is_left_alone(folder: Folder) -> None:
    running.write(folder, running.State(pid=1, children={"web": {"pid": os.getpid(), "mark": "granian"}}))
    assert running.end_leftovers(folder) == ()
    assert process.command_of(os.getpid())


def test_left_over_part_is_ended(folder: Folder) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", "granian"]
    with subprocess.Popen(command, start_new_session=True) as part:
        running.write(folder, running.State(children={"web": {"pid": part.pid, "mark": "granian"}}))
        assert running.end_leftovers(folder) == ("web",)


def test_steps_are_aligned_and_plain_without_a_terminal() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    with terminal.step("PostgreSQL") as step:
        step.detail = "18.6"
    with pytest.raises(ValueError, match="no"), terminal.step("Valkey"):
        raise ValueError("no")
    terminal.rows([("Console", "http://localhost:8000"), ("", "")])
    assert stream.getvalue().splitlines() == [
        "  ✓ PostgreSQL            0.0 s   18.6",
        "  ✗ Valkey                0.0 s",
        "  Console              http://localhost:8000",
        "",
    ]


def test_terminal_gets_colour_unless_no_color_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Terminal(Tty()).style("text", "bold") == "\x1b[1mtext\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal(Tty()).style("text", "bold") == "text"


def test_terminal_that_can_not_show_ticks_gets_words() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with Terminal(stream).step("Web"):
        pass
    stream.seek(0)
    assert stream.read().startswith("  ok Web")
