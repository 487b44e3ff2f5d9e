"""Keys change hands in public: the old one signs the new one, and what the old one signed stays believed."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from audit import chain, checkpoints, export, offline_verifier, signatures, trail
from audit.models import AuditEntry, Chain
from audit.verify import verify_chain
from projects.scoping import Actor, Scope

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW, STRANGE = (letter * 43 for letter in "ABC")


@pytest.fixture
def rotated(scope: Scope, actor: Actor, now: datetime, settings: Any) -> Chain:
    """A checkpoint of the old key, then one of the new key while the old seed is still known."""
    with transaction.atomic():
        subject = chain.Subject("campaign", "cmp_1", "Spring")
        chain.record(scope=scope, actor=actor, action="campaign.updated", subject=subject, now=now)
    row = Chain.objects.get(key=chain.chain_key(scope=scope))
    for hour, seeds in enumerate((OLD, f"{NEW},{OLD}", NEW)):
        settings.AUDIT_SIGNING_KEY = seeds
        checkpoints.sign(chain_id=row.pk, now=now + timedelta(hours=hour))
    return row


def test_the_chain_says_who_took_over(rotated: Chain) -> None:
    entry = AuditEntry.objects.get(action="signing_key.rotated")
    assert entry.after is not None and entry.after["endorsed"] is True
    assert (entry.after["key"], entry.subject_id) == (signatures.public_key().hex(), signatures.key_id())


def test_what_the_old_key_signed_is_still_believed(rotated: Chain) -> None:
    report = verify_chain(key=rotated.key)
    assert (report.ok, report.checkpoints) == (True, 3)


def test_a_key_that_nobody_endorsed_is_not_believed(rotated: Chain, settings: Any) -> None:
    settings.AUDIT_SIGNING_KEY = STRANGE
    flaw = verify_chain(key=rotated.key).flaw
    assert flaw is not None and flaw.kind == "forged"


def test_the_script_follows_the_rotation_from_a_kept_key(
    rotated: Chain, scope: Scope, actor: Actor, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "trail.ndjson"
    path.write_text("".join(export.ndjson_lines(scope=scope, actor=actor, wanted=trail.Wanted(), now=now)))
    found = offline_verifier.verify_file(str(path), [signatures.public_key().hex()])
    assert found.flaw is None and len(found.keys) == 2


def test_every_checkpoint_becomes_a_line_of_a_file(
    rotated: Chain, now: datetime, settings: Any, tmp_path: Path
) -> None:
    settings.CHECKPOINT_DIR = str(tmp_path / "far")
    signed = checkpoints.sign(chain_id=rotated.pk, now=now + timedelta(hours=5))

    (line,) = (tmp_path / "far" / f"{rotated.key.replace(':', '-')}.jsonl").read_text().splitlines()
    assert json.loads(line)["signature"] == bytes(signed.signature).hex()


def test_a_file_that_cannot_be_written_does_not_stop_the_checkpoint(
    rotated: Chain, now: datetime, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.CHECKPOINT_DIR = str(tmp_path / "file")
    assert checkpoints.sign(chain_id=rotated.pk, now=now + timedelta(hours=5)).pk
    assert "was not written" in caplog.text


def test_nothing_happened_is_signed_too(rotated: Chain, now: datetime) -> None:
    later = now + timedelta(hours=9)
    assert rotated.pk in checkpoints.chains_to_sign(before=later - timedelta(minutes=30))
    assert checkpoints.sign(chain_id=rotated.pk, now=later).sequence > 0
