"""Right rows as the lines that COPY wants. What a row says never depends on what the database knows of its person.

A tab stands between columns and backslashes are doubled; cells hold neither tabs nor line breaks. Every row gets the id
that its person will have if it is new; of known people it is never used.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from audiences.channels import CHANNEL_BITS
from audiences.importing.columns import Column
from audiences.importing.judge import MEMBERSHIPS, TRUE_WORDS
from audiences.importing.order import Ordered
from audiences.models import ImportRun, Vocabulary
from lamba_campaigns.lib import ids
from projects.scoping import Scope

_Item = TypeVar("_Item")
Kind = Vocabulary.Kind
BATCHES_AHEAD: Final = 2
IDENTITY: Final = ("email", "name", "given_name", "family_name", "locale", "time_zone", "country")
DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as in every public id
ID_START_CHARS: Final = 21  # of 26; the last five count the lines, up to 33 million
LINES_MAX: Final = 32**5 - 1
CELLS_SEEN_MAX: Final = 20_000
_NULL: Final = "\\N"


class Prepared(NamedTuple):
    """One row: who is meant, and the lines it would add. `first` is an earlier line about the same person, or 0."""

    line: int
    who: str
    first: int
    person: str
    facts: str
    record: str  # empty when the row tells nothing
    told: str  # for `import_people`: what it tells, and its segments
    listed: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows, and their lines joined as if every person were new."""

    rows: list[Prepared]
    people: bytes
    facts: bytes
    records: bytes


def batch(rows: list[Prepared]) -> Batch:
    return Batch(
        rows,
        "".join([row.person for row in rows]).encode(),
        "".join([row.facts for row in rows]).encode(),
        "".join([row.record for row in rows]).encode(),
    )


class Shaper:
    """Shapes the rows of one file. `numbers` knows every stage, plan and role of it; `people` are unused ids."""

    def __init__(
        self,
        *,
        scope: Scope,
        run: ImportRun,
        columns: Sequence[Column],
        numbers: Mapping[str, Mapping[str, int]],
        people: Iterator[int],
    ) -> None:
        place = {column.field: column.index for column in columns}
        self._numbers, self._people = numbers, people
        self._identity = [place.get(name) for name in IDENTITY]
        self._email = place.get("email")
        self._membership, self._stage, self._plan = map(place.get, ("membership", "lifecycle", "plan"))
        self._roles, self._segments = place.get("roles"), place.get("segments")
        self._consents = [
            (place[name], bit) for channel, bit in CHANNEL_BITS.items() if (name := f"consent.{channel}") in place
        ]
        told = [column for column in columns if column.field not in ("external_id", "segments")]
        self._texts = [(c.index, f"{_quoted(c.field)}:") for c in told if c.kind not in _WRITERS]
        self._typed = [(c.index, f"{_quoted(c.field)}:", _WRITERS[c.kind]) for c in told if c.kind in _WRITERS]
        traits = [c for c in told if c.field.startswith("trait.")]
        self._traits = [(c.index, f"{_quoted(c.field[6:])}:", _WRITERS.get(c.kind, _quoted)) for c in traits]
        environment, at = scope.environment_id, run.created_at.isoformat()
        self._environment, self._source, self._at = environment, f"import:{run.public_id}", at
        self._start = f"\t{environment}\tper_{ids.ulid()[:ID_START_CHARS]}"

    def shape(self, row: Ordered) -> Prepared:
        line, cells, who, first = row.line, row.cells, row.who, row.first
        joined = "".join(cells)
        odd = '"' in joined or "\\" in joined
        quoted = _quoted if odd else _bare
        told = [f"{key}{quoted(cells[n])}" for n, key in self._texts if cells[n]]
        told += [f"{key}{write(cells[n])}" for n, key, write in self._typed if cells[n]]
        traits = [f"{key}{write(cells[n])}" for n, key, write in self._traits if cells[n]]
        identity = ["" if n is None else cells[n] for n in self._identity]
        identity[-1] = identity[-1].upper()
        named = "\t".join([who, *identity, f"{{{','.join(traits)}}}"])
        record = f"{{{','.join(told)}}}"
        if odd:
            named, record = named.replace("\\", "\\\\"), record.replace("\\", "\\\\")
        person = next(self._people)
        segments = words(cells[self._segments]) if self._segments is not None else ()
        return Prepared(
            line,
            who,
            first,
            f"{person}{self._start}{_digits(line)}\t{named}\t{self._at}\n",
            self._facts(person, cells),
            f"{self._environment}\t{person}\t{self._source}\t{record}\t{self._at}\n" if told else "",
            f"{record}\t{{{','.join(segments)}}}\n",
            bool(segments),
        )

    def _facts(self, person: int, cells: list[str]) -> str:
        numbers = self._numbers
        membership = cells[self._membership] if self._membership is not None else ""
        stage = cells[self._stage] if self._stage is not None else ""
        plan = cells[self._plan] if self._plan is not None else ""
        consent = roles = 0
        for n, bit in self._consents:
            if cells[n].lower() in TRUE_WORDS:
                consent |= bit
        if self._roles is not None and cells[self._roles]:
            roles = sum(1 << numbers[Kind.ROLE][role] for role in words(cells[self._roles]))
        address = 1 if self._email is not None and cells[self._email] else 0
        return (
            f"{person}\t{self._environment}\t{MEMBERSHIPS[membership.lower()] if membership else 0}"
            f"\t{numbers[Kind.LIFECYCLE][stage] if stage else 0}\t{self._at if stage else _NULL}"
            f"\t{numbers[Kind.PLAN][plan] if plan else 0}\t{consent}\t{address}\t{roles}\n"
        )


class Words:
    """The stages, plans, roles and segments that a file names."""

    def __init__(self, columns: Sequence[Column]) -> None:
        kinds = {"lifecycle": Kind.LIFECYCLE, "plan": Kind.PLAN, "roles": Kind.ROLE, "segments": Kind.SEGMENT}
        self._places = [(c.index, kinds[c.field], c.kind == "words") for c in columns if c.field in kinds]
        self._cells: list[set[str]] = [set() for _ in self._places]
        self._names: set[tuple[str, str]] = set()

    def add(self, rows: Sequence[tuple[int, list[str]]]) -> None:
        for seen, (place, _, _) in zip(self._cells, self._places, strict=True):
            seen.update([cells[place] for _, cells in rows])
            if len(seen) > CELLS_SEEN_MAX:
                self.names()

    def names(self) -> set[tuple[str, str]]:
        """(kind, name) of each."""
        for seen, (_, kind, many) in zip(self._cells, self._places, strict=True):
            self._names |= {(kind, name) for cell in seen for name in (words(cell) if many else (cell,)) if name}
            seen.clear()
        return self._names


def words(cell: str) -> tuple[str, ...]:
    """The names between semicolons, each once, in order of the alphabet."""
    return tuple(sorted({word.strip() for word in cell.split(";")} - {""})) if cell else ()


def in_parts(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` of them, the last one shorter."""
    source = iter(items)
    while part := list(islice(source, size)):
        yield part


def ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items, made in a thread while the database works. It must not touch the database."""
    done = object()
    waiting: queue.Queue[object] = queue.Queue(BATCHES_AHEAD)
    stopped = threading.Event()

    def make() -> None:
        last: object = done
        try:
            for item in items:
                if not _put(waiting, item, stopped):
                    return
        except BaseException as problem:
            last = problem
        _put(waiting, last, stopped)

    thread = threading.Thread(target=make, name="prepare", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


def _put(waiting: "queue.Queue[object]", item: object, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            waiting.put(item, timeout=0.2)
            return True
        except queue.Full:
            continue
    return False


def _digits(line: int) -> str:
    high = DIGITS[line >> 20 & 31] + DIGITS[line >> 15 & 31] + DIGITS[line >> 10 & 31]
    return high + DIGITS[line >> 5 & 31] + DIGITS[line & 31]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _bare(text: str) -> str:
    """A text without quotes and backslashes needs no escaping."""
    return f'"{text}"'


def _boolean(text: str) -> str:
    return "true" if text.lower() in TRUE_WORDS else "false"


def _number(text: str) -> str:
    """JSON allows no leading zeros."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = digits.partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point}{rest}"


def _list(text: str) -> str:
    return json.dumps(words(text), ensure_ascii=False)


_WRITERS: Final[Mapping[str, Callable[[str], str]]] = {
    "boolean": _boolean,
    "number": _number,
    "words": _list,
    "membership": lambda text: f'"{text.lower()}"',
}
