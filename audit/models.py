"""What is written here is never changed: entries of the hash chain, postings of the ledger, signed checkpoints.

Entries and postings carry plain subject ids, so that history outlives what it speaks of. Append-only triggers stand in
migration 0002. `LedgerEntry` is a mass table: no foreign keys, its scope is kept by construction (`ledger.post`).
"""

import json
from functools import cached_property
from typing import Any

from django.db import models
from django.db.models import F, Q

from lamba_campaigns.lib.constraints import ScopedReference
from lamba_campaigns.lib.ids import ID_LENGTH_MAX, new_id
from projects.scoping import ScopedForeignKey, ScopedModel

ROUTINE_ACTIONS = ("checkpoint.signed", "ledger.sealed")  # written by the clock, hidden from people unless asked for
# what retention never empties: other evidence is proven by the digests in these
KEPT_ACTIONS = (*ROUTINE_ACTIONS, "signing_key.rotated", "retention.applied")


def _entry_id() -> str:
    return new_id("ent")


class Chain(models.Model):
    """The head of one hash chain: of an environment, of a workspace (members, plan) or of the platform (sign-ins)."""

    key = models.CharField(max_length=80, unique=True)  # "environment:7", "workspace:3", "platform"
    environment = models.ForeignKey("projects.Environment", models.PROTECT, null=True, related_name="+")
    workspace = models.ForeignKey("projects.Workspace", models.PROTECT, null=True, related_name="+")
    sequence = models.BigIntegerField(default=0)  # of the newest entry; 0 before the first
    head = models.BinaryField(max_length=32, default=bytes(32))  # hash of the newest entry; zeros before the first
    kept_from = models.BigIntegerField(default=1)  # retention took the contents of earlier entries, or is about to
    emptied_through = models.BigIntegerField(default=0)  # how far it got

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "id"], name="audit_chain_in_scope")]


class AuditEntry(models.Model):
    """One decision. `canonical` is what was hashed; before and after stand in it alone.

    What the other columns repeat for the sake of filters, `verify` compares. Retention empties both, never a hash.
    """

    public_id = models.CharField(max_length=ID_LENGTH_MAX, unique=True, default=_entry_id, editable=False)
    chain = models.ForeignKey(Chain, models.PROTECT, related_name="entries")
    sequence = models.BigIntegerField()  # 1, 2, 3 … without gaps in its chain
    previous_hash = models.BinaryField(max_length=32)
    content_hash = models.BinaryField(max_length=32)  # SHA-256 of canonical
    hash = models.BinaryField(max_length=32)  # SHA-256 of previous_hash, sequence and content_hash
    canonical = models.BinaryField(null=True)
    environment = models.ForeignKey("projects.Environment", models.PROTECT, null=True, related_name="+")
    workspace_public_id = models.CharField(max_length=64, default="")
    project_public_id = models.CharField(max_length=64, default="")
    environment_name = models.CharField(max_length=10, default="")
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64)
    origin = models.CharField(max_length=10)
    action = models.CharField(max_length=40)
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=64)
    trace_id = models.CharField(max_length=64, default="")
    reason = models.TextField(default="")
    outcome = models.CharField(max_length=10)
    occurred_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain", "sequence"], name="audit_chain_has_no_second_entry_of_a_number"),
            models.UniqueConstraint(fields=["chain", "previous_hash"], name="audit_chain_does_not_fork"),
            models.CheckConstraint(condition=Q(outcome__in=["done", "refused"]), name="audit_outcome_is_known"),
            ScopedReference(field="chain", name="audit_auditentry_chain_scope"),
        ]
        indexes = [
            # the audit page, newest first, without what the clock wrote
            models.Index(
                "chain", F("sequence").desc(), name="audit_entry_of_people", condition=~Q(action__in=ROUTINE_ACTIONS)
            ),
            # the page filtered by action, by person, by object; a campaign's own timeline
            models.Index("chain", "action", F("sequence").desc(), name="audit_entry_by_action"),
            models.Index("chain", "actor_id", F("sequence").desc(), name="audit_entry_by_actor"),
            models.Index("chain", "subject_type", "subject_id", F("sequence").desc(), name="audit_entry_by_subject"),
            # since and until
            models.Index("chain", "occurred_at", name="audit_entry_by_time"),
        ]

    @property
    def before(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._content.get("before")
        return found

    @property
    def after(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._content.get("after")
        return found

    @cached_property
    def _content(self) -> dict[str, Any]:
        return {} if self.canonical is None else json.loads(bytes(self.canonical))


class EntryLabel(models.Model):
    """The personal words of an entry: names and an address. The chain holds only their salted commitment.

    Deleting the row (erasure) takes the words and the salt away, and every hash still verifies.
    """

    entry = models.OneToOneField(AuditEntry, models.PROTECT, primary_key=True, related_name="label")
    salt = models.BinaryField(max_length=16)
    actor_label = models.CharField(max_length=200)
    actor_ip = models.CharField(max_length=45, default="")
    subject_name = models.CharField(max_length=300, default="")


class Checkpoint(models.Model):
    """The signed statement that a chain had `sequence` entries and this head: a rewritten chain contradicts it."""

    chain = models.ForeignKey(Chain, models.PROTECT, related_name="checkpoints")
    environment = models.ForeignKey("projects.Environment", models.PROTECT, null=True, related_name="+")
    sequence = models.BigIntegerField()
    note = models.BinaryField()  # the canonical bytes that were signed
    key_id = models.CharField(max_length=16)
    signature = models.BinaryField(max_length=64)
    signed_at = models.DateTimeField()

    class Meta:
        constraints = [ScopedReference(field="chain", name="audit_checkpoint_chain_scope")]
        indexes = [models.Index("chain", F("id").desc(), name="audit_checkpoint_newest")]  # the newest of a chain


class Book(ScopedModel):
    """The account book of one send job: what was planned, and how the last reconciliation found it."""

    id_prefix = "bok"

    job_id = models.BigIntegerField()
    subject = models.CharField(max_length=64)  # "cmp_…"
    planned = models.BigIntegerField()
    opened_at = models.DateTimeField()
    reconciled_at = models.DateTimeField(null=True)
    accounts = models.JSONField(default=dict)  # account -> quantity at reconciled_at
    residual = models.BigIntegerField(null=True)  # planned minus the sum of all accounts
    score = models.PositiveSmallIntegerField(null=True)  # 0 to 100, see reconciliation.score
    closed_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(fields=["environment", "job_id"], name="book_is_opened_once"),
            models.CheckConstraint(condition=Q(planned__gte=0), name="book_plan_is_not_negative"),
        ]
        indexes = [
            models.Index("environment", "subject", name="audit_book_of_subject"),  # a campaign's books
            # review_books: closed lately, looked at again while the outside may still speak
            models.Index("closed_at", condition=Q(closed_at__isnull=False), name="audit_book_closed"),
        ]


class LedgerBatch(ScopedModel):
    """The postings of one call of `ledger.post`, with their digest. Sealed once into the chain, else never changed."""

    id_prefix = "lbt"

    job_id = models.BigIntegerField()
    entry_count = models.IntegerField()
    digest = models.BinaryField(max_length=32)
    posted_at = models.DateTimeField()
    seal = ScopedForeignKey("audit.LedgerSeal", null=True, related_name="batches")

    class Meta(ScopedModel.Meta):
        indexes = [
            # seal_ledger: what waits
            models.Index("environment", "id", name="audit_batch_unsealed", condition=Q(seal=None)),
            # verify: the batches of one seal
            models.Index("environment", "seal", "id", name="audit_batch_of_seal"),
        ]


class LedgerSeal(ScopedModel):
    """One `ledger.sealed` entry of the chain: the digest over a set of batches."""

    id_prefix = "lsl"

    batch_count = models.IntegerField()
    entry_count = models.IntegerField()
    digest = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField()


class LedgerEntry(models.Model):
    """One posting: `quantity` messages of one job moved from one account to another. Mass table, append-only."""

    pk = models.CompositePrimaryKey("environment_id", "job_id", "posting_key")
    environment_id = models.BigIntegerField()
    job_id = models.BigIntegerField()
    posting_key = models.CharField(max_length=120)
    source = models.SmallIntegerField()  # index into ledger.NAMES
    target = models.SmallIntegerField()
    quantity = models.IntegerField()
    reason = models.CharField(max_length=60, default="")
    occurred_at = models.DateTimeField()
    batch_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="posting_moves_something"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="posting_moves_elsewhere"),
        ]


class Break(ScopedModel):
    """A difference that reconciliation found: what, how many, against which source, and how it ended."""

    id_prefix = "brk"

    job_id = models.BigIntegerField()
    subject = models.CharField(max_length=64)
    type = models.CharField(max_length=30)
    source = models.CharField(max_length=40)  # which side disagrees: "ledger", "messages", "metering" …
    account = models.CharField(max_length=20, default="")
    quantity = models.BigIntegerField()
    detail = models.TextField()
    state = models.CharField(max_length=10, default="open")
    opened_at = models.DateTimeField()
    owner = models.CharField(max_length=64, default="", db_default="")  # who looks into it: "usr_1"; empty: nobody yet
    owner_label = models.CharField(max_length=200, default="", db_default="")
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=64, default="")
    reason = models.TextField(default="")

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.CheckConstraint(condition=Q(state__in=["open", "resolved"]), name="break_state_is_known"),
            models.UniqueConstraint(
                fields=["environment", "job_id", "type", "source", "account"],
                condition=Q(state="open"),
                name="break_is_open_once",
            ),
        ]
        indexes = [
            models.Index("environment", "job_id", name="audit_break_of_job"),  # one book's breaks
            # the reconciliation page: what is open, newest first
            models.Index("environment", F("id").desc(), condition=Q(state="open"), name="audit_break_open"),
        ]

    def as_json(self) -> dict[str, Any]:
        return {"type": self.type, "source": self.source, "account": self.account, "quantity": self.quantity}


class Statement(ScopedModel):
    """A closing statement as it was signed. Never changed: what comes later is the next number, with its adjustment."""

    id_prefix = "stm"

    job_id = models.BigIntegerField()
    subject = models.CharField(max_length=64)  # "cmp_…"
    number = models.PositiveIntegerField()  # 1, 2, 3 … of its book
    note = models.BinaryField()  # the canonical bytes that were signed
    key = models.BinaryField(max_length=32)  # the public key
    signature = models.BinaryField(max_length=64)
    issued_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            # read by the newest of a book
            models.UniqueConstraint(fields=["environment", "job_id", "number"], name="statement_number_is_given_once"),
        ]


class OutsideReport(ScopedModel):
    """What somebody outside counted for one send job: a provider, or Lamba's campaign.sent. The newest one counts."""

    id_prefix = "rpt"

    job_id = models.BigIntegerField()
    source = models.CharField(max_length=20)  # "provider" or "lamba"
    counts = models.JSONField()  # account or "handed_over" -> how many
    unknown = models.PositiveIntegerField(default=0)  # lines about messages that are not of this job
    repeated = models.PositiveIntegerField(default=0)  # messages that the report has more than once
    reference = models.CharField(max_length=128)  # its file's digest, or the event's id
    made_by = models.CharField(max_length=200)
    made_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        constraints = [
            *ScopedModel.Meta.constraints,
            models.UniqueConstraint(
                fields=["environment", "job_id", "source", "reference"], name="report_is_imported_once"
            ),
        ]
        indexes = [models.Index("environment", "job_id", "source", F("id").desc(), name="audit_report_newest")]
