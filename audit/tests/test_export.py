"""An export proves itself: a script without Django names each way in which a file was tampered with."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from audit import chain, checkpoints, export, offline_verifier, signatures, trail
from audit.models import AuditEntry, Chain, EntryLabel
from conftest import World
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db
SCRIPT = Path(offline_verifier.__file__)
Lines = list[dict[str, Any]]


def write(scope: Scope, actor: Actor, number: int, now: datetime, **given: Any) -> None:
    with transaction.atomic():
        chain.record(
            scope=scope,
            actor=actor,
            action="template.created" if number == 2 else "campaign.updated",
            subject=chain.Subject("campaign", f"cmp_{number}", f"Größe „{number}“"),
            now=now + timedelta(seconds=number),
            **{"before": {"name": "old"}, "after": {"name": 'a "b" \\ \n c', "share": 0.5}, "reason": "=1+1", **given},
        )


@pytest.fixture
def written(scope: Scope, actor: Actor, now: datetime) -> Scope:
    """Four decisions, a checkpoint with its own entry, one more decision; the export itself is the seventh entry."""
    for number in range(1, 5):
        write(scope, actor, number, now)
    checkpoints.sign(chain_id=Chain.objects.get(key=chain.chain_key(scope=scope)).pk, now=now)
    write(scope, actor, 6, now)
    return scope


@pytest.fixture
def save(written: Scope, actor: Actor, now: datetime, tmp_path: Path) -> Callable[..., Path]:
    """save(**filters) -> an NDJSON export; save(csv=True) -> a CSV one."""

    def make(*, csv: bool = False, **filters: Any) -> Path:
        given: dict[str, Any] = {"scope": written, "actor": actor, "wanted": trail.Wanted(**filters), "now": now}
        lines = export.csv_lines(**given) if csv else export.ndjson_lines(**given)
        path = tmp_path / ("trail.csv" if csv else "trail.ndjson")
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
        return path

    return make


def run(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The script by itself: no site packages of ours, no Django, no settings."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(path), "--json", *options],
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def test_a_whole_export_is_verified_by_the_script_alone(save: Callable[..., Path], written: Scope) -> None:
    code, found = run(save(), "--key", signatures.public_key().hex())

    assert (code, found["ok"], found["entries"], found["checkpoints"], found["withheld"]) == (0, True, 7, 1, 0)
    assert found["keys"] == [signatures.public_key().hex()]
    assert found["head"] == bytes(Chain.objects.get(key=chain.chain_key(scope=written)).head).hex()
    assert AuditEntry.objects.get(action="export.made").after == {"format": "ndjson"}


def test_what_a_filter_leaves_out_is_there_by_its_hash(save: Callable[..., Path]) -> None:
    path = save(action="template")
    code, found = run(path)

    assert (code, found["entries"], found["withheld"]) == (0, 7, 6)
    assert "Größe „2“" in path.read_text() and "Größe „1“" not in path.read_text()


def test_erased_names_leave_the_export_whole(save: Callable[..., Path]) -> None:
    EntryLabel.objects.filter(entry__sequence=2).delete()
    path = save()
    code, found = run(path)
    assert (code, found["erased"]) == (0, 1) and "Größe „2“" not in path.read_text()


def test_another_key_is_not_believed(save: Callable[..., Path]) -> None:
    code, found = run(save(), "--key", "ab" * 32)
    assert code == 1 and found["flaw"]["kind"] == "forged"


def _entries(lines: Lines) -> Lines:
    return [line for line in lines if line["kind"] == "entry"]


def _relink(lines: Lines, *, start: int) -> None:
    """What a careful forger does: number and chain everything from `start` on again."""
    entries = _entries(lines)
    for at in range(start - 1, len(entries)):
        previous = entries[at - 1]["hash"] if at else offline_verifier.GENESIS
        entries[at] |= {"sequence": at + 1, "previousHash": previous}
        entries[at]["hash"] = offline_verifier.link_hash(previous, at + 1, entries[at]["contentHash"])


def edit_content(lines: Lines) -> None:
    _entries(lines)[2]["content"] = _entries(lines)[2]["content"].replace("old", "odd")


def edit_words(lines: Lines) -> None:
    _entries(lines)[2]["words"]["actor_label"] = "Mallory"


def edit_hash(lines: Lines) -> None:
    _entries(lines)[2]["contentHash"] = "00" * 32
    _entries(lines)[2]["content"] = None


def edit_and_relink(lines: Lines) -> None:
    entry = _entries(lines)[2]
    entry |= {"contentHash": "00" * 32, "content": None, "salt": None}
    _relink(lines, start=3)


def remove(lines: Lines) -> None:
    lines.remove(_entries(lines)[2])


def remove_and_relink(lines: Lines) -> None:
    remove(lines)
    for number, entry in enumerate(_entries(lines), 1):
        entry["sequence"] = number


def insert(lines: Lines) -> None:
    at = lines.index(_entries(lines)[2])
    lines.insert(at, {**_entries(lines)[1], "sequence": 3})
    for number, entry in enumerate(_entries(lines), 1):
        entry["sequence"] = number
    _relink(lines, start=1)


def reorder(lines: Lines) -> None:
    at = lines.index(_entries(lines)[1])
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


def reorder_and_renumber(lines: Lines) -> None:
    one, two = _entries(lines)[1], _entries(lines)[2]
    one["sequence"], two["sequence"] = 3, 2
    reorder(lines)


def fork(lines: Lines) -> None:
    at = lines.index(_entries(lines)[2])
    lines.insert(at + 1, dict(lines[at]))


def truncate(lines: Lines) -> None:
    lines.remove(_entries(lines)[-1])


def cut_the_end_off(lines: Lines) -> None:
    del lines[-1]


def add_behind_the_end(lines: Lines) -> None:
    lines.append(dict(_entries(lines)[0]))


def forge_a_checkpoint(lines: Lines) -> None:
    lines[1]["signature"] = "00" * 64


def forge_the_end(lines: Lines) -> None:
    lines[-1]["note"] = lines[-1]["note"].replace('"entries":7', '"entries":6')
    del lines[-2]


@pytest.mark.parametrize(
    ("tamper", "kind", "sequence"),
    [
        (edit_content, "edited", 3),
        (edit_words, "edited", 3),
        (edit_hash, "edited", 3),
        (edit_and_relink, "edited", 4),
        (remove, "removed", 3),
        (remove_and_relink, "removed", 3),
        (insert, "reordered", 3),
        (reorder, "reordered", 2),
        (reorder_and_renumber, "reordered", 2),
        (fork, "forked", 3),
        (truncate, "truncated", 7),
        (cut_the_end_off, "truncated", 8),
        (add_behind_the_end, "inserted", 8),
        (forge_a_checkpoint, "forged", 4),
        (forge_the_end, "forged", 6),
    ],
)
def test_the_first_break_of_a_file_is_named(
    save: Callable[..., Path], tamper: Callable[[Lines], None], kind: str, sequence: int
) -> None:
    path = save()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    tamper(lines)
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), encoding="utf-8")

    flaw = offline_verifier.verify_file(str(path)).flaw
    assert flaw is not None and (flaw["kind"], flaw["sequence"]) == (kind, sequence), flaw


def test_a_csv_proves_each_of_its_rows(save: Callable[..., Path]) -> None:
    path = save(csv=True, action="campaign")
    code, found = run(path)
    assert (code, found["entries"], found["missing"]) == (0, 4, 2)

    path.write_text(path.read_text().replace("campaign.updated", "campaign.launched", 1))
    code, found = run(path)
    assert (code, found["flaw"]["kind"], found["flaw"]["sequence"]) == (1, "edited", 1)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"hello": 1}')
    assert run(tmp_path / "other.json")[0] == 2


def test_the_command_compares_a_file_with_the_database(
    save: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = save()
    call_command("audit_verify", file=str(path))
    assert capsys.readouterr().out.startswith("ok     chain environment:")

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM audit_auditentry WHERE sequence = 7")
        cursor.execute("SET LOCAL session_replication_role = origin")
    with pytest.raises(CommandError, match="tampered"):
        call_command("audit_verify", file=str(path))
    assert "truncated at 7" in capsys.readouterr().out
    with pytest.raises(CommandError) as failed:
        call_command("audit_verify", file="/no/such/file")
    assert failed.value.returncode == 2


def test_exports_are_served_in_the_console_and_by_rest(
    written: Scope, world: World, browser_of: Callable[..., Any], api: Callable[..., Any]
) -> None:
    browser = browser_of(world.alice)
    for address in (f"/{written.path}/audit/export.ndjson", f"/{written.path}/audit/offline_verifier.py"):
        assert b"".join(browser.get(address)), address
    text = b"".join(api().get("/api/v1/audit/export.ndjson")).decode()
    assert text.startswith('{"kind":"header"') and '"kind":"end"' in text.splitlines()[-1]
    assert b"".join(api().get("/api/v1/audit/export.csv")).startswith(b"number,")
    assert b"".join(api().get("/api/v1/audit/offline_verifier.py")) == SCRIPT.read_bytes()


def test_the_slow_arithmetic_agrees_with_the_library() -> None:
    message = b"closing statement"
    signature, key = signatures.sign(message), signatures.public_key()
    assert offline_verifier._ed25519(key, message, signature)
    assert not offline_verifier._ed25519(key, message + b".", signature)
    assert not offline_verifier._ed25519(key, message, signature[:32] + bytes(32))
    assert not offline_verifier._ed25519(b"\xff" * 32, message, signature)
