"""Right rows in the shapes that COPY wants. Pure: what a row says never depends on what the database knows."""

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from audiences.channels import CHANNEL_BITS
from audiences.importing.columns import Column
from audiences.importing.judge import MEMBERSHIPS, TRUE_WORDS

_Item = TypeVar("_Item")
BATCHES_AHEAD: Final = 2
IDENTITY: Final = ("email", "name", "given_name", "family_name", "locale", "time_zone", "country")


class Prepared(NamedTuple):
    """One row. `identity` and `record` are text for COPY: tabs between columns, backslashes doubled."""

    line: int
    who: str
    first: int  # the line that spoke of the same person before, or 0
    identity: str  # external id, email … country, traits
    record: str  # everything it tells, as JSON
    membership: int
    stage: str
    plan: str
    consent: int
    address: int
    roles: tuple[str, ...]
    segments: tuple[str, ...]


class Shaper:
    """Shapes the rows of one file."""

    def __init__(self, columns: Sequence[Column]) -> None:
        place = {column.field: column.index for column in columns}
        self._who = place["external_id"]
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

    def shape(self, line: int, cells: list[str], first: int) -> Prepared:
        joined = "".join(cells)
        odd = '"' in joined or "\\" in joined
        quoted = _quoted if odd else _bare
        told = [f"{key}{quoted(cells[n])}" for n, key in self._texts if cells[n]]
        told += [f"{key}{write(cells[n])}" for n, key, write in self._typed if cells[n]]
        traits = [f"{key}{write(cells[n])}" for n, key, write in self._traits if cells[n]]
        identity = [cells[self._who], *["" if n is None else cells[n] for n in self._identity]]
        identity[-1] = identity[-1].upper()
        text = "\t".join([*identity, f"{{{','.join(traits)}}}"])
        record = f"{{{','.join(told)}}}"
        return Prepared(
            line=line,
            who=cells[self._who],
            first=first,
            identity=text.replace("\\", "\\\\") if odd else text,
            record=record.replace("\\", "\\\\") if odd else record,
            membership=MEMBERSHIPS[cells[self._membership].lower()] if self._has(self._membership, cells) else 0,
            stage=self._cell(self._stage, cells),
            plan=self._cell(self._plan, cells),
            consent=sum(bit for n, bit in self._consents if cells[n].lower() in TRUE_WORDS),
            address=1 if self._has(self._email, cells) else 0,
            roles=words(self._cell(self._roles, cells)),
            segments=words(self._cell(self._segments, cells)),
        )

    @staticmethod
    def _cell(index: int | None, cells: list[str]) -> str:
        return "" if index is None else cells[index]

    @staticmethod
    def _has(index: int | None, cells: list[str]) -> bool:
        return index is not None and bool(cells[index])


def words(cell: str) -> tuple[str, ...]:
    """The names between semicolons, each once, in order of the alphabet."""
    return tuple(sorted({word.strip() for word in cell.split(";")} - {""})) if cell else ()


def batches(rows: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


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
