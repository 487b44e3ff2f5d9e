"""Tables of the app: who people are, what is known of them, and who was chosen."""

from audiences.models.audiences import Audience, AudienceVersion
from audiences.models.backfill import BackfillRun, LambaConnection, LambaMember
from audiences.models.contacts import Contact, ContactSubject
from audiences.models.facts import Fact, FactHistory, FactRecord, PersonFacts
from audiences.models.imports import ImportFilePart, ImportProblem, ImportRun
from audiences.models.people import Person
from audiences.models.segments import Segment, Vocabulary
from audiences.models.snapshots import ErasedMember, Snapshot, SnapshotMember

__all__ = [
    "Audience",
    "AudienceVersion",
    "BackfillRun",
    "Contact",
    "ContactSubject",
    "ErasedMember",
    "Fact",
    "FactHistory",
    "FactRecord",
    "ImportFilePart",
    "ImportProblem",
    "ImportRun",
    "LambaConnection",
    "LambaMember",
    "Person",
    "PersonFacts",
    "Segment",
    "Snapshot",
    "SnapshotMember",
    "Vocabulary",
]
