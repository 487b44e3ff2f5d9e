"""verify_chain(): read a chain from its first entry and name the first break, or say that there is none.

Nothing of ours is trusted: each hash is computed again from the stored bytes, the columns are compared with those
bytes, and signed checkpoints bind what the database alone could rewrite.
"""

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from django.db import connection, transaction

from audit import chain, signatures
from audit.models import Chain, Checkpoint
from lamba_campaigns.lib import sql

ROWS_PER_READ: Final = 2_000
Kind = Literal["edited", "removed", "inserted", "reordered", "forked", "truncated", "forged"]
_COLUMNS: Final = (
    "sequence",
    "previous_hash",
    "content_hash",
    "hash",
    "canonical",
    "public_id",
    "workspace_public_id",
    "project_public_id",
    "environment_name",
    "actor_kind",
    "actor_id",
    "origin",
    "action",
    "subject_type",
    "subject_id",
    "trace_id",
    "before",
    "after",
    "reason",
    "outcome",
    "occurred_at",
    "salt",
    "actor_label",
    "actor_ip",
    "subject_name",
)
_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first break: what was done, where, and how it shows."""

    kind: Kind
    sequence: int
    detail: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain, read to its end or to its first break."""

    chain: str
    entries: int
    checkpoints: int
    erased: int  # entries whose names were erased; their hashes still hold
    head: str  # hash of the last good entry
    flaw: Flaw | None = None

    @property
    def ok(self) -> bool:
        return self.flaw is None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


class _Broken(Exception):
    def __init__(self, kind: Kind, sequence: int, detail: str) -> None:
        super().__init__(detail)
        self.flaw = Flaw(kind, sequence, detail)


def verify_chain(*, key: str) -> ChainReport:
    """Read the chain called `key`. A chain that nobody wrote to yet is whole."""
    row = Chain.objects.filter(key=key).first()
    if row is None:
        return ChainReport(key, 0, 0, 0, chain.GENESIS.hex())
    return _Walk(row).report()


class _Walk:
    """One reading of one chain. The head is read before the entries: it may grow meanwhile, but never shrink."""

    def __init__(self, row: Chain) -> None:
        self.row = row
        self.sequence, self.hash, self.erased = 0, chain.GENESIS, 0
        self.signed: dict[int, list[str]] = {}
        self.checkpoints = 0

    def report(self) -> ChainReport:
        flaw = None
        try:
            self._read_checkpoints()
            self._compare(0, chain.GENESIS)
            with transaction.atomic(), closing(rows_of("read_chain", {"chain_id": self.row.pk}, _COLUMNS)) as entries:
                for entry in entries:
                    self._step(entry)
            self._end()
        except _Broken as broken:
            flaw = broken.flaw
        return ChainReport(self.row.key, self.sequence, self.checkpoints, self.erased, self.hash.hex(), flaw)

    def _step(self, entry: _Row) -> None:
        number = entry["sequence"]
        if number == self.sequence:
            raise _Broken("forked", number, f"Two entries claim number {number}.")
        if number > self.sequence + 1:
            raise _Broken("removed", self.sequence + 1, f"Number {self.sequence + 1} is missing.")
        if bytes(entry["previous_hash"]) != self.hash:
            raise self._wrong_link(entry)
        self._check_content(entry)
        self.sequence, self.hash = number, bytes(entry["hash"])
        self._compare(number, self.hash)

    def _check_content(self, entry: _Row) -> None:
        number, canonical = entry["sequence"], bytes(entry["canonical"])
        content_hash = hashlib.sha256(canonical).digest()
        if content_hash != bytes(entry["content_hash"]):
            raise _Broken("edited", number, "The stored content does not have the stored hash.")
        if chain.link_hash(bytes(entry["previous_hash"]), number, content_hash) != bytes(entry["hash"]):
            raise _Broken("edited", number, "The entry's hash does not follow from its content.")
        said = json.loads(canonical)
        changes = {name: entry[name] and json.loads(entry[name]) for name in ("before", "after")}
        claimed = chain.content({**entry, **changes}, commitment=said.get("labels", ""))
        if said != claimed:
            wrong = sorted(name for name in claimed if said.get(name) != claimed[name])
            raise _Broken("edited", number, f"Columns differ from what was hashed: {', '.join(wrong)}.")
        self._check_words(entry, said["labels"])

    def _check_words(self, entry: _Row, committed: str) -> None:
        if entry["salt"] is None:
            self.erased += 1
            return
        words = chain.label_words(entry["actor_label"], entry["actor_ip"], entry["subject_name"])
        if chain.commitment(bytes(entry["salt"]), words) != committed:
            raise _Broken("edited", entry["sequence"], "The names of this entry are not those that were committed to.")

    def _wrong_link(self, entry: _Row) -> _Broken:
        """Which tampering leaves an entry that follows something else than the one before it."""
        number = entry["sequence"]
        found = sql.one("audit", "place_of_hash", {"chain_id": self.row.pk, "hash": entry["previous_hash"]})
        place = 0 if bytes(entry["previous_hash"]) == chain.GENESIS else found[0] if found else None
        if place is not None and place >= number:
            return _Broken("reordered", number, f"The entry at {number} belongs after number {place}.")
        if place is not None:
            return _Broken("inserted", place + 1, f"The entry at {number} follows {place}: what is between was added.")
        if json.loads(bytes(entry["canonical"])).get("sequence") != number:
            return _Broken("removed", number, f"The entry that stood at {number} is gone and the rest was renumbered.")
        return _Broken("edited", number - 1, f"Number {number} does not follow from number {number - 1} as it is now.")

    def _compare(self, number: int, found: bytes) -> None:
        if number == self.row.sequence and found != bytes(self.row.head):
            raise _Broken("edited", number, "The chain's head is another hash than that of its last entry.")
        if any(head != found.hex() for head in self.signed.pop(number, ())):
            raise _Broken("edited", number, "A signed checkpoint has another hash for this entry.")

    def _end(self) -> None:
        if self.sequence < self.row.sequence:
            raise _Broken("truncated", self.sequence + 1, f"The chain had {self.row.sequence} entries.")
        if self.signed:
            raise _Broken("truncated", self.sequence + 1, f"A checkpoint was signed at {max(self.signed)} entries.")
        if self.sequence > self.row.sequence:
            grown = Chain.objects.get(pk=self.row.pk)
            if self.sequence > grown.sequence:
                raise _Broken("inserted", grown.sequence + 1, f"The chain itself knows {grown.sequence} entries.")

    def _read_checkpoints(self) -> None:
        before = ""
        for found in Checkpoint.objects.filter(chain=self.row).order_by("pk").iterator():
            self.checkpoints += 1
            note, signature = bytes(found.note), bytes(found.signature)
            if found.key_id != signatures.key_id() or not signatures.is_ours(note, signature):
                raise _Broken("forged", found.sequence, "A checkpoint is not signed by this installation's key.")
            said = json.loads(note)
            if (said["chain"], said["sequence"]) != (self.row.key, found.sequence):
                raise _Broken("forged", found.sequence, "A checkpoint speaks of something else than its row.")
            if said["previousSignature"] != before:
                raise _Broken("removed", found.sequence, "A checkpoint before this one is missing.")
            before = signature.hex()
            self.signed.setdefault(found.sequence, []).append(said["head"])


def rows_of(name: str, params: Mapping[str, Any], columns: Sequence[str]) -> Generator[dict[str, Any], None, None]:
    """The rows of a statement, a few thousand at a time: memory stays flat however long the chain is.

    Inside a transaction, and under `closing`: the cursor lives in the server.
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql.statement("audit", name).rstrip(";"), params)
        while found := cursor.fetchmany(ROWS_PER_READ):
            for row in found:
                yield dict(zip(columns, row, strict=True))
