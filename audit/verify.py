"""verify_chain(): read a chain from its first entry and name the first break, or say that there is none.

Nothing of ours is trusted: each hash is computed again from the stored bytes, the columns are compared with those
bytes, and signed checkpoints bind what the database alone could rewrite. Memory stays flat however long the chain is.
"""

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import psycopg
from django.db import connection, transaction

from audit import chain, offline_verifier, signatures
from audit.models import AuditEntry, Chain, Checkpoint
from lamba_campaigns.lib import sql

ROWS_PER_READ: Final = 50_000  # of the chain; streamed, a few are held at a time
ROWS_PER_FETCH: Final = 2_000
COMMITMENT_LENGTH: Final = 64
_RETENTION: Final = b'{"action":"retention.applied"'
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
# texts as they are on the wire: what was hashed is bytes too
_TYPES: Final = ("int8", "int8", *("bytea",) * 9)
Kind = Literal["edited", "removed", "inserted", "reordered", "forked", "truncated", "forged"]


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
    emptied: int  # entries whose content retention removed; their hashes still hold
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


class _Unlinked(Exception):
    """An entry that does not follow the one before it: number, last number, previous hash, content."""


class _Differs(Exception):
    """An entry whose columns are not what was hashed: its number."""


def verify_chain(*, key: str) -> ChainReport:
    """Read the chain called `key`. A chain that nobody wrote to yet is whole."""
    row = Chain.objects.filter(key=key).first()
    if row is None:
        return ChainReport(key, 0, 0, 0, 0, chain.GENESIS.hex())
    return _Walk(row).report()


class _Walk:
    """One reading of one chain. The head is read before the entries: it may grow meanwhile, but never shrink."""

    def __init__(self, row: Chain) -> None:
        self.row = row
        self.sequence, self.id, self.hash = 0, 0, chain.GENESIS
        self.erased = self.emptied = self.checkpoints = 0
        self.signed: dict[int, list[str]] = {}
        self.empty: list[list[int]] = []  # runs of emptied entries: first, last
        self.allowed = 0  # an entry of the chain says that retention emptied up to here

    def report(self) -> ChainReport:
        flaw = None
        try:
            self._read_checkpoints()
            self._compare(0, chain.GENESIS)
            while self._read_some():
                pass
            self._end()
        except _Broken as broken:
            flaw = broken.flaw
        return ChainReport(
            self.row.key, self.sequence, self.checkpoints, self.erased, self.emptied, self.hash.hex(), flaw
        )

    def _read_some(self) -> bool:
        """The next ROWS_PER_READ entries; False when there were none. A statement each: no long snapshot is held."""
        place = {"chain_id": self.row.pk, "sequence": self.sequence, "id": self.id, "limit": ROWS_PER_READ}
        copied = f"COPY ({sql.statement('audit', 'read_chain').rstrip(';')}) TO STDOUT (FORMAT binary)"
        began = self.id
        try:
            # a transaction of its own: a copy that is left at a break rolls back to here
            with transaction.atomic(), _alone().copy(copied, place) as entries:
                entries.set_types(_TYPES)
                self._step_all(entries.rows())
        except _Unlinked as found:  # looked into now: the connection was busy with the copy
            raise self._wrong_place(*found.args) from None
        except _Differs as found:
            raise _Broken("edited", found.args[0], self._differing(found.args[0])) from None
        return self.id != began

    def _step_all(self, entries: Iterator[Sequence[Any]]) -> None:
        """Each entry against the one before it and against itself. The hot loop: nothing is looked up twice in it."""
        sha256, signed, head_at = hashlib.sha256, self.signed, self.row.sequence
        last, link = self.sequence, self.hash
        for number, row_id, previous, content_hash, found, canonical, front, middle, back, salt, words in entries:
            if number != last + 1 or previous != link:
                raise _Unlinked(number, last, previous, canonical)
            if canonical is None:
                self._note_empty(number)
            else:
                if sha256(canonical).digest() != content_hash:
                    raise _Broken("edited", number, "The stored content does not have the stored hash.")
                end = len(canonical) - len(back)
                if not (
                    canonical.startswith(front)
                    and canonical.endswith(back)
                    and canonical.endswith(middle, 0, end - COMMITMENT_LENGTH)
                ):
                    raise _Differs(number)
                if salt is None:
                    self.erased += 1
                elif _commitment(sha256, salt, words) != canonical[end - COMMITMENT_LENGTH : end]:
                    raise _Broken("edited", number, "The names of this entry are not those that were committed to.")
                if canonical.startswith(_RETENTION):
                    self.allowed = max(self.allowed, json.loads(canonical)["after"]["through"])
            if sha256(link + number.to_bytes(8, "big") + content_hash).digest() != found:
                raise _Broken("edited", number, "The entry's hash does not follow from its content.")
            last, link = number, found
            self.sequence, self.id, self.hash = number, row_id, found
            if number in signed or number == head_at:
                self._compare(number, found)

    def _note_empty(self, number: int) -> None:
        self.emptied += 1
        if self.empty and self.empty[-1][1] == number - 1:
            self.empty[-1][1] = number
        else:
            self.empty.append([number, number])

    def _differing(self, number: int) -> str:
        """Which columns say something else than what was hashed. Asked once, at the first break."""
        entry = AuditEntry.objects.get(chain=self.row, sequence=number)
        said = json.loads(bytes(entry.canonical or b"{}"))
        changes = {"before": said["before"], "after": said["after"]}
        claimed = chain.content({**vars(entry), **changes}, commitment=said["labels"])
        wrong = sorted(name for name in claimed if said.get(name) != claimed[name])
        return f"Columns differ from what was hashed: {', '.join(wrong)}."

    def _wrong_place(self, number: int, last: int, previous: bytes, canonical: bytes | None) -> _Broken:
        """Which tampering leaves an entry that follows something else than the one before it."""
        if number == last:
            return _Broken("forked", number, f"Two entries claim number {number}.")
        if number > last + 1:
            return _Broken("removed", last + 1, f"Number {last + 1} is missing.")
        found = sql.one("audit", "place_of_hash", {"chain_id": self.row.pk, "hash": previous})
        place = 0 if previous == chain.GENESIS else found[0] if found else None
        if place is not None and place >= number:
            return _Broken("reordered", number, f"The entry at {number} belongs after number {place}.")
        if place is not None:
            return _Broken("inserted", place + 1, f"The entry at {number} follows {place}: what is between was added.")
        if canonical and json.loads(canonical).get("sequence") != number:
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
        beyond = next((max(first, self.allowed + 1) for first, last in self.empty if last > self.allowed), None)
        if beyond is not None:
            raise _Broken("removed", beyond, "Its content is gone, and no entry says that retention took it.")

    def _read_checkpoints(self) -> None:
        trusted = self._trusted()
        before = ""
        for found in Checkpoint.objects.filter(chain=self.row).order_by("pk").iterator():
            self.checkpoints += 1
            note, signature = bytes(found.note), bytes(found.signature).hex()
            key = trusted.get(found.key_id)
            if key is None or not offline_verifier.is_signed(key, note, signature):
                raise _Broken("forged", found.sequence, "A checkpoint is not signed by a key of this installation.")
            said = json.loads(note)
            if (said["chain"], said["sequence"]) != (self.row.key, found.sequence):
                raise _Broken("forged", found.sequence, "A checkpoint speaks of something else than its row.")
            if said["previousSignature"] != before:
                raise _Broken("removed", found.sequence, "A checkpoint before this one is missing.")
            before = signature
            self.signed.setdefault(found.sequence, []).append(said["head"])

    def _trusted(self) -> dict[str, str]:
        """Our keys and those that they took over from, by their short names."""
        ours = {public.hex() for public in signatures.public_keys()}
        rows = Checkpoint.objects.filter(chain=self.row).order_by("-pk").iterator()
        noted = ({"note": bytes(row.note).decode(), "signature": bytes(row.signature).hex()} for row in rows)
        keys = offline_verifier.trusted_keys(noted, ours)
        return {signatures.key_id(bytes.fromhex(key)): key for key in keys}


def _alone() -> psycopg.Cursor[Any]:
    """A cursor whose statements run in one process: rows are wanted in order, and we hash while the next are read."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    return psycopg.Cursor(connection.connection)


def _commitment(sha256: Any, salt: bytes, words: bytes) -> bytes:
    """chain.commitment() of words that are canonical already: HMAC by its definition, without the library's set-up."""
    key = salt.ljust(64, b"\0")
    inner = sha256(key.translate(_INNER) + words).digest()
    digest: bytes = sha256(key.translate(_OUTER) + inner).hexdigest().encode()
    return digest


def rows_of(name: str, params: Mapping[str, Any], columns: Sequence[str]) -> Generator[dict[str, Any], None, None]:
    """The rows of a statement, a few thousand at a time: memory stays flat however long the chain is.

    Inside a transaction, and under `closing`: the cursor lives in the server.
    """
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql.statement("audit", name).rstrip(";"), params)
        while found := cursor.fetchmany(ROWS_PER_FETCH):
            for row in found:
                yield dict(zip(columns, row, strict=True))
