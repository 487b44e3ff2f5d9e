"""Whom a campaign leaves out: contacted too often, held out, or on a list. SQL and Python draw the same people.

A hold-out is drawn by hashing (salt, person), so that asking again, or elsewhere, gives the same people.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import sql as compose

from audiences.rules.fields import SEGMENT_WORDS, WORD_BITS
from audiences.rules.vocabulary import Vocabulary
from lamba_campaigns.lib.sql import statement

POINTS: Final = 10_000  # basis points: 100 are one percent
CAP_MESSAGES_MAX: Final = 100
CAP_DAYS_MAX: Final = 90
SEGMENTS_MAX: Final = 20
HOLD_OUT: Final = "hold-out"
VARIANT: Final = "variant"  # also the merge field that keeps it with every member
VARIANT_A, VARIANT_B = "a", "b"


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """Nobody gets more than `messages` within `days`, over all campaigns: who had as many already is left out."""

    messages: int
    days: int


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What a campaign adds to the reasons of consent. `hold_out` in basis points; `segments` and `topic` by slug."""

    frequency_cap: FrequencyCap | None = None
    hold_out: int = 0
    segments: tuple[str, ...] = ()
    topic: str = (
        ""  # who said no to it is unsubscribed; who never said yes to one that must be asked for has not agreed
    )

    def __bool__(self) -> bool:
        return bool(self.frequency_cap or self.hold_out or self.segments or self.topic)

    def as_json(self) -> dict[str, Any]:
        """Only what is asked for; {} where nothing is."""
        found: dict[str, Any] = {}
        if self.frequency_cap:
            found["frequencyCap"] = {"messages": self.frequency_cap.messages, "days": self.frequency_cap.days}
        if self.hold_out:
            found["holdOutPoints"] = self.hold_out
        if self.segments:
            found["excludedSegments"] = list(self.segments)
        if self.topic:
            found["topic"] = self.topic
        return found

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Exclusions":
        cap = given.get("frequencyCap")
        return cls(
            FrequencyCap(cap["messages"], cap["days"]) if cap else None,
            given.get("holdOutPoints", 0),
            tuple(given.get("excludedSegments", ())),
            given.get("topic", ""),
        )


NOTHING: Final = Exclusions()
_topics: dict[str, LiteralString] = {}  # conditions over f.person_id, %(environment)s, %(channel)s and %(topic)s


def register_topics(*, refused: LiteralString, never_asked_for: LiteralString) -> None:
    """How to ask who does not want a topic. The app that keeps people's choices says it once, when it starts."""
    _topics.update(refused=refused, never_asked_for=never_asked_for)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the statement `judge` takes, and the parameters of it."""

    pieces: Mapping[str, compose.Composable]
    params: Mapping[str, Any] = field(default_factory=dict)


def parts(exclusions: Exclusions, *, salt: str, vocabulary: Vocabulary, now: datetime) -> Parts:
    """The pieces of SQL. What is not asked for costs nothing: it is the constant FALSE."""
    no, empty = compose.SQL("FALSE"), compose.SQL("")
    pieces: dict[str, compose.Composable] = {
        "history": empty, "joins": empty, "capped": no, "held_out": no, "listed": no, "refused": no,
        "never_asked_for": no,
    }  # fmt: skip
    params: dict[str, Any] = {}
    if exclusions.topic:
        pieces |= {name: compose.SQL(condition) for name, condition in _topics.items()}
        params["topic"] = exclusions.topic
    if exclusions.frequency_cap:
        pieces["history"] = compose.SQL(statement("audiences", "capped"))
        pieces["joins"] = compose.SQL("\n    LEFT JOIN capped AS c ON c.person_id = m.person_id")
        pieces["capped"] = compose.SQL("c.person_id IS NOT NULL")
        params["cap_since"] = now - timedelta(days=exclusions.frequency_cap.days)
        params["cap_messages"] = exclusions.frequency_cap.messages
    if exclusions.hold_out:
        pieces["held_out"] = compose.SQL("audiences_draw(%(draw)s, m.person_id) < %(hold_out)s")
        params["draw"], params["hold_out"] = _key(salt, HOLD_OUT), exclusions.hold_out
    if exclusions.segments:
        pieces["listed"] = _listed(exclusions.segments, vocabulary, params)
    return Parts(pieces, params)


def draw(*, salt: str, what: str, person_id: int) -> int:
    """A number from 0 to 9,999 that belongs to this person and salt, evenly spread; `what` makes draws independent."""
    digest = hashlib.sha256(f"{_key(salt, what)}:{person_id}".encode()).digest()
    return int.from_bytes(digest[:7]) % POINTS


def is_held_out(*, salt: str, points: int, person_id: int) -> bool:
    return draw(salt=salt, what=HOLD_OUT, person_id=person_id) < points


def variant(*, salt: str, points: int, person_id: int) -> str:
    """Which of two messages this person gets: `b` for so many basis points of all people, else `a`."""
    return VARIANT_B if draw(salt=salt, what=VARIANT, person_id=person_id) < points else VARIANT_A


def variant_sql(*, salt: str, points: int) -> compose.Composable:
    """The same over p.id."""
    return compose.SQL("CASE WHEN audiences_draw({}, p.id) < {} THEN {} ELSE {} END").format(
        *map(compose.Literal, (_key(salt, VARIANT), points, VARIANT_B, VARIANT_A))
    )


def _key(salt: str, what: str) -> str:
    return f"{salt}:{what}"


def _listed(slugs: Sequence[str], vocabulary: Vocabulary, params: dict[str, Any]) -> compose.Composable:
    """Whether any bit of these segments is set. A slug without a number has no people."""
    known = vocabulary.numbers.get("segment", {})
    bits = [known[slug] for slug in slugs if slug in known]
    tests: list[compose.Composable] = []
    for word, column in enumerate(SEGMENT_WORDS):
        mask = sum(1 << bit % WORD_BITS for bit in set(bits) if bit // WORD_BITS == word)
        if mask:
            params[f"listed_{word}"] = mask
            tests.append(
                compose.SQL("({} & {}::bigint) <> 0").format(compose.SQL(column), compose.Placeholder(f"listed_{word}"))
            )
    return compose.SQL("({})").format(compose.SQL(" OR ").join(tests)) if tests else compose.SQL("FALSE")
