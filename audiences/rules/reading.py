"""One person's facts as rules see them: the same columns and tables that the compiled SQL reads, as Python values."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from psycopg import sql

from audiences.rules.ast import Condition, Rule
from audiences.rules.explain import Facts
from audiences.rules.fields import CATALOGUE, COLUMN_STORAGE, SEGMENT_WORDS, WORD_BITS, Field, find
from audiences.rules.nesting import conditions
from audiences.rules.vocabulary import Vocabulary
from lamba_campaigns.lib.sql import rows
from projects.scoping import Scope

_FIELDS = tuple(field for field in CATALOGUE.values() if field.storage in COLUMN_STORAGE)
_COLUMNS = sql.SQL(", ").join([sql.SQL(text) for text in (*(field.sql for field in _FIELDS), *SEGMENT_WORDS)])
_STATEMENT = sql.SQL(
    "SELECT p.id, p.traits::text, {columns} FROM audiences_person p"
    " LEFT JOIN audiences_personfacts f ON f.environment_id = p.environment_id AND f.person_id = p.id"
    " WHERE p.environment_id = %(environment_id)s AND p.id = ANY(%(ids)s)"
).format(columns=_COLUMNS)


def facts_of(
    *, scope: Scope, person_ids: Sequence[int], vocabulary: Vocabulary, rule: Rule | None = None
) -> dict[int, Facts]:
    """Person id -> facts for `explain.evaluate`. People of other environments are left out.

    One query, and one for each table beside that the rule asks about.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, {"environment_id": scope.environment_id, "ids": list(person_ids)})
        found = {row[0]: _facts(row[1], row[2:], vocabulary) for row in cursor.fetchall()}
    asked = list(conditions(rule, vocabulary)) if rule else []
    beside = told_beside(scope=scope, person_ids=list(found), asked=asked, vocabulary=vocabulary)
    return {person_id: {**facts, **beside[person_id]} for person_id, facts in found.items()}


def told_beside(
    *, scope: Scope, person_ids: Sequence[int], asked: Iterable[Condition], vocabulary: Vocabulary
) -> Mapping[int, dict[str, Any]]:
    """Person id -> what stands in the histories of facts and contacts, as far as these conditions ask for it."""
    wanted = [(condition, find(condition.field, condition.type)) for condition in asked]  # type: ignore[arg-type]
    kinds = {field.storage if field.storage != "events" else field.sql for _, field in wanted if field}
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    params = {"environment": scope.environment_id, "people": list(person_ids)}
    if "sessions" in kinds:
        _gather(found, "session_events", rows("audiences", "sessions_of", params))
    if "contacts" in kinds:
        about = rows("audiences", "contacts_of", params)
        _gather(found, "contact_events", [(person, contacted) for person, _, contacted, _, _ in about])
        for key, place in (("received", 2), ("opened", 3), ("clicked", 4)):
            for row in about:
                if row[place] is not None:
                    found[row[0]].setdefault(key, {})[row[1]] = row[place]
    if "reached" in kinds:
        for person, stage, at in rows("audiences", "stages_of", params):
            found[person].setdefault("reached", {})[stage] = at
    return found


def _gather(found: Mapping[int, dict[str, Any]], key: str, told: Iterable[tuple[Any, ...]]) -> None:
    moments: dict[int, list[datetime]] = defaultdict(list)
    for person, at in told:
        moments[person].append(at)
    for person, each in moments.items():
        found[person][key] = tuple(each)


def _facts(traits: str, values: Sequence[Any], vocabulary: Vocabulary) -> Facts:
    found: dict[str, Any] = {"traits": json.loads(traits, parse_float=Decimal)}
    for field, value in zip(_FIELDS, values, strict=False):
        found[field.key] = _named(field, value, vocabulary)
    segment = CATALOGUE["segment"]
    words = values[len(_FIELDS) :]
    number = sum((word or 0) << (WORD_BITS * place) for place, word in enumerate(words))
    found["segment"] = _names_of_bits(segment, number, vocabulary)
    return found


def _named(field: Field, value: Any, vocabulary: Vocabulary) -> Any:
    if field.storage == "number":
        return next((name for name, number in vocabulary.numbers_of(field).items() if number == value), None)
    if field.storage == "mask":
        return _names_of_bits(field, value or 0, vocabulary)
    return value


def _names_of_bits(field: Field, mask: int, vocabulary: Vocabulary) -> frozenset[str]:
    return frozenset(name for name, bit in vocabulary.numbers_of(field).items() if mask >> bit & 1)
