"""The doorbells: seal what waits, sign what is due, once."""

from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import transaction
from django.utils import timezone

from audit import chain, checkpoints, ledger, tasks
from audit.models import AuditEntry, Chain, Checkpoint, LedgerBatch
from conftest import World
from projects.scoping import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture
def written(world: World, now: datetime) -> World:
    with transaction.atomic():
        for scope in (world.production, world.sandbox):
            ledger.open_book(scope=scope, job_id=1, subject="cmp_1", planned=2, pending=2, excluded={}, now=now)
    return world


def test_every_environment_is_sealed(written: World) -> None:
    tasks.seal_ledger()
    assert not LedgerBatch.objects.across_environments("test").filter(seal=None).exists()
    assert AuditEntry.objects.filter(action="ledger.sealed").count() == 2


def test_every_chain_is_signed_once_an_hour_also_when_nothing_happened(written: World) -> None:
    tasks.seal_ledger()
    tasks.checkpoint()
    tasks.checkpoint()
    assert Checkpoint.objects.count() == 2

    later = timezone.now() + timedelta(hours=1)
    for chain_id in checkpoints.chains_to_sign(before=later - timedelta(minutes=30)):
        checkpoints.sign(chain_id=chain_id, now=later)
    assert Checkpoint.objects.count() == 4
    assert set(Chain.objects.values_list("sequence", flat=True)) == {3}, "one seal, two checkpoints"


def test_a_checkpoint_can_be_checked_with_its_public_key_alone(written: World, now: datetime) -> None:
    with transaction.atomic():
        subject = chain.Subject("campaign", "cmp_1")
        chain.record(scope=written.production, actor=SYSTEM, action="campaign.launched", subject=subject, now=now)
    told = checkpoints.as_json(checkpoints.sign(chain_id=Chain.objects.get().pk, now=now))

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["key"]))
    key.verify(bytes.fromhex(told["signature"]), told["note"].encode())
    assert f'"head":"{told["hash"]}"' in told["note"]
