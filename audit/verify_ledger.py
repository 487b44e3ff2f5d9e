"""The ledger against its seals: every posting in its batch, every batch in its seal, every seal in the chain."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from django.db import transaction

from audit import ledger, sealing
from audit.verify import Flaw, rows_of
from projects.scoping import Scope

_ENTRY = ("batch", "key", "source", "target", "quantity", "reason", "at")
_BATCH = ("id", "digest", "entries", "seal")
_SEAL = ("id", "digest", "batches", "chained")
_Row = dict[str, Any]
_Sealed = dict[int, list[tuple[int, bytes]]]  # seal -> (batch, its digest)


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """One environment's ledger, read to its end or to its first break. `unsealed` batches wait for the next seal."""

    postings: int
    batches: int
    unsealed: int
    flaw: Flaw | None = None

    @property
    def ok(self) -> bool:
        return self.flaw is None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def verify_ledger(*, scope: Scope) -> LedgerReport:
    """Recompute every digest of the environment's ledger."""
    where = {"environment_id": scope.environment_id}
    count = _Count()
    sealed: _Sealed = {}
    with (
        transaction.atomic(),
        closing(rows_of("read_ledger", where, _ENTRY)) as entries,
        closing(rows_of("read_batches", where, _BATCH)) as batches,
    ):
        flaw = _compare_batches(entries, batches, count, sealed)
    if flaw is None:
        with transaction.atomic(), closing(rows_of("read_seals", where, _SEAL)) as seals:
            flaw = _compare_seals(seals, sealed)
    return LedgerReport(count.postings, count.batches, count.unsealed, flaw)


@dataclass(slots=True)
class _Count:
    postings: int = 0
    batches: int = 0
    unsealed: int = 0


def _compare_batches(entries: Iterator[_Row], batches: Iterator[_Row], count: _Count, sealed: _Sealed) -> Flaw | None:
    for batch, found in _pairs(groupby(entries, key=lambda row: row["batch"]), batches):
        if isinstance(batch, int):
            return Flaw("inserted", batch, f"Postings name batch {batch}, which does not exist.")
        flaw = _compare(batch, found)
        if flaw:
            return flaw
        count.batches, count.postings = count.batches + 1, count.postings + len(found)
        if batch["seal"] is None:
            count.unsealed += 1
        else:
            sealed.setdefault(batch["seal"], []).append((batch["id"], bytes(batch["digest"])))
    return None


def _pairs(entries: Any, batches: Iterator[_Row]) -> Iterator[tuple[Any, list[ledger.Entry]]]:
    """Each batch with its postings, both in order of the batch; a number alone is a batch that does not exist."""
    number, group = next(entries, (None, ()))
    for batch in batches:
        while number is not None and number < batch["id"]:
            yield number, []
            number, group = next(entries, (None, ()))
        found: list[ledger.Entry] = []
        if number == batch["id"]:
            found = [(r["key"], r["source"], r["target"], r["quantity"], r["reason"], r["at"]) for r in group]
            number, group = next(entries, (None, ()))
        yield batch, found
    if number is not None:
        yield number, []


def _compare(batch: _Row, found: list[ledger.Entry]) -> Flaw | None:
    number = batch["id"]
    if len(found) < batch["entries"]:
        return Flaw("removed", number, f"Batch {number} had {batch['entries']} postings, {len(found)} are left.")
    if len(found) > batch["entries"]:
        return Flaw("inserted", number, f"Batch {number} had {batch['entries']} postings, now {len(found)}.")
    if ledger.digest(found) != bytes(batch["digest"]):
        return Flaw("edited", number, f"The postings of batch {number} are not those that were written.")
    return None


def _compare_seals(seals: Iterator[_Row], sealed: _Sealed) -> Flaw | None:
    for seal in seals:
        number, batches = seal["id"], sealed.pop(seal["id"], [])
        if len(batches) != seal["batches"]:
            return Flaw("removed", number, f"Seal {number} had {seal['batches']} batches, {len(batches)} are left.")
        if not sealing.digest(batches) == bytes(seal["digest"]) == bytes.fromhex(seal["chained"] or ""):
            return Flaw("edited", number, f"Seal {number} is not what the chain says.")
    return Flaw("removed", min(sealed), f"Seal {min(sealed)} is missing.") if sealed else None
